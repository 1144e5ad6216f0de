"""The chain the demo sends its tickets through: a remote model first, this device behind it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from resilient_ai.cli.demo.tickets import MODEL, data_file
from resilient_ai.core.clock import seeded
from resilient_ai.model import ResilientModel
from resilient_ai.models.on_device.model import OnDeviceModel
from resilient_ai.models.on_device.places import QUEUE
from resilient_ai.models.openai import OpenAIModel
from resilient_ai.policies.breaker import Breaker
from resilient_ai.policies.budget import RetryBudget
from resilient_ai.policies.limits import Limits
from resilient_ai.policies.retry import Retry
from resilient_ai.policies.timeouts import Timeouts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from resilient_ai.core.events import Observer
    from resilient_ai.core.model import Model

DEADLINE_SECONDS: Final = 4.0
"""Of one scripted call, over all attempts, pauses and models."""
REAL_DEADLINE_SECONDS: Final = 20.0
"""Of one call to a real provider, which answers a short question in one to three seconds."""
RESERVE_SECONDS: Final = 1.0
"""Kept for the device: a hundred times what it needs alone, so that a burst of fallbacks on a busy machine fits as well (0.3 s each
were seen with both cores taken by others)."""

DEVICE_SLOTS: Final = 16
"""Answers the device computes at a time. A model this small has room for many, and each adds to the line before it."""
CALLS_AT_A_TIME: Final = DEVICE_SLOTS + QUEUE
"""As many as the device can take if all of them fall back at once, so that it refuses none; other calls wait, within their deadline."""

INSTRUCTIONS: Final = (
    "You sort support tickets. Answer with the queue the ticket belongs to (billing, shipping, returns, account, technical, "
    "cancellation, sales or feedback) and its priority (low, normal or high)."
)

# Everything that takes time is shortened with the script, so that half a minute shows what an outage of an hour would:
# the default breaker breaks for 15 s to 300 s, over a window of 120 s.
_TIMEOUTS: Final = Timeouts(connect=0.5, attempt=1.2)
_RETRY: Final = Retry(attempts=3, base=0.1, cap=0.8)
_BREAKER: Final = Breaker(window=8.0, open_for=0.4, open_for_max=1.0)
_LIMITS: Final = Limits(concurrency=CALLS_AT_A_TIME, queue=256)
_BUDGET: Final = RetryBudget(capacity=300)


def on_device() -> OnDeviceModel:
    """The model on this device.

    Raises:
        ConfigError: The extra `[on-device]` is not installed; the text says how to install it.
    """
    # Clocks of its own: on a machine short of time it may use all that is left of the deadline.
    return OnDeviceModel(
        data_file(MODEL), capabilities=("triage",), max_tokens=32, slots=DEVICE_SLOTS, timeouts=Timeouts()
    )


def scripted_remote(port: int) -> OpenAIModel:
    """The scripted provider on `port`."""
    _keep_loopback_off_proxies()
    return OpenAIModel(
        "remote", base_url=f"http://127.0.0.1:{port}/v1", api_key="the-demo-needs-no-key", provider="scripted"
    )


def scripted_chain(
    remote: Model, device: Model, *, seed: int, observers: Sequence[Observer]
) -> ResilientModel:
    """The chain in front of the scripted provider, with times to fit its script."""
    return ResilientModel(
        [remote, device],
        name="demo",
        deadline=DEADLINE_SECONDS,
        reserve=RESERVE_SECONDS,
        timeouts=_TIMEOUTS,
        retry=_RETRY,
        breaker=_BREAKER,
        budget=_BUDGET,
        limits=_LIMITS,
        observers=observers,
        chance=seeded(seed),
    )


def real_chain(remote: Model, device: Model, *, seed: int, observers: Sequence[Observer]) -> ResilientModel:
    """The chain in front of a real provider, with the library's defaults for all but the deadline."""
    return ResilientModel(
        [remote, device],
        name="demo",
        deadline=REAL_DEADLINE_SECONDS,
        reserve=RESERVE_SECONDS,
        observers=observers,
        chance=seeded(seed),
    )


def _keep_loopback_off_proxies() -> None:
    """A proxy the environment names must not be asked for this machine; few environments exempt it."""
    exempt = os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or ""
    os.environ["no_proxy"] = f"{exempt},127.0.0.1" if exempt else "127.0.0.1"
