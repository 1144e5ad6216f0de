"""One run of the demo: tickets arrive, the chain answers, the recording watches."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from itertools import cycle, islice
from typing import TYPE_CHECKING, Final, TypeAlias, cast, final

from resilient_ai.cli.demo import policy
from resilient_ai.cli.demo.figures import Run
from resilient_ai.cli.demo.hosting import HostedProvider
from resilient_ai.cli.demo.recording import ON_DEVICE, Recording
from resilient_ai.cli.demo.script import FAST, arrivals, script, total_seconds
from resilient_ai.cli.demo.tickets import Ticket, Triage, load_tickets
from resilient_ai.core.clock import SYSTEM_CLOCK, seeded
from resilient_ai.errors import ResilientError
from resilient_ai.model import ResilientModel
from resilient_ai.models.naming import model_of
from resilient_ai.telemetry import observe

if TYPE_CHECKING:
    from pathlib import Path

    from resilient_ai.core.model import Model
    from resilient_ai.health import ChainHealth

Show: TypeAlias = "Callable[[Recording, ChainHealth], object]"
"""Shows how things stand; called a few times a second, and must be quick."""

SAMPLE_SECONDS: Final = 0.125
CALLS: Final = 600
"""Every ticket once: 13 a second."""
FAST_CALLS: Final = 300
"""21 a second, which the device alone keeps up with on a laptop that is busy with other things."""
REAL_CALLS: Final = 60
"""Calls to a real provider, unless more are asked for: they cost money."""
REAL_CALLS_PER_SECOND: Final = 2.0
"""Enough to see something, slow enough for a small account; three times as many under `fast`."""
WARM_SECONDS: Final = 60.0
TAIL_SECONDS: Final = 0.5
"""The run outlasts the last arrival by this much."""


@final
@dataclass(frozen=True, slots=True)
class Options:
    """What was asked for.

    Attributes:
        seed: Of arrivals, latencies, faults and jitter.
        fast: Shorten the script.
        provider: A real model to ask first (`openai:gpt-5.2`), without a script; None is the scripted provider.
        calls: Tickets to send; None is 600, 300 under `fast`, or 60 to a real provider.
        log_file, span_file: Where telemetry goes.
    """

    seed: int
    fast: bool
    provider: str | None
    calls: int | None
    log_file: Path
    span_file: Path

    @property
    def count(self) -> int:
        """How many calls to make."""
        if self.calls is not None:
            return self.calls
        if self.provider is not None:
            return REAL_CALLS
        return FAST_CALLS if self.fast else CALLS

    @property
    def seconds(self) -> float:
        """How long the run lasts, about."""
        if self.provider is None:
            return total_seconds(script(fast=self.fast))
        return self.count / (REAL_CALLS_PER_SECOND / (FAST if self.fast else 1.0)) + TAIL_SECONDS


async def play(options: Options, recording: Recording, show: Show) -> Run:
    """Sends the tickets and returns what came of it. Ends every process it started, whatever happens.

    Raises:
        ConfigError: The extra `[on-device]` is missing, or the provider's name or key is.
        ResilientError: The scripted provider did not start.
    """
    tickets = list(islice(cycle(load_tickets()), options.count))
    due = arrivals(options.count, options.seconds - TAIL_SECONDS, seeded(options.seed))
    async with AsyncExitStack() as stack:
        device = policy.on_device()
        stack.push_async_callback(device.aclose)
        await _warm(device, tickets[0])
        provider = await _provider(options, recording, stack)
        if provider is None:
            first = model_of(options.provider or "")
            model = policy.real_chain(first, device, seed=options.seed, observers=[recording])
        else:
            first = policy.scripted_remote(provider.port)
            await _warm(first, tickets[0])
            model = policy.scripted_chain(first, device, seed=options.seed, observers=[recording])
        stack.push_async_callback(model.aclose)
        stack.enter_context(
            observe(log_file=options.log_file, span_file=options.span_file, attempt_spans="all", otlp=False)
        )
        if provider is None:
            recording.enter("unscripted", f"{options.provider}, as it is")
        else:
            await provider.play()
        showing = asyncio.create_task(_keep_showing(model, recording, show))
        try:
            await _send_all(model, tickets, due, recording)
        finally:
            showing.cancel()
        recording.finish()
        show(recording, model.health())
        return Run.of(
            recording,
            scripted=provider is not None,
            models=[hop.label for hop in model.plan.hops],
            deadline=model.plan.deadline,
            policy=model.explain(),
        )


async def _provider(options: Options, recording: Recording, stack: AsyncExitStack) -> HostedProvider | None:
    """The scripted provider, waiting to play; None where a real one is asked."""
    if options.provider is not None:
        return None
    titles = {phase.name: phase.title for phase in script(fast=options.fast)}
    return await stack.enter_async_context(
        HostedProvider(
            fast=options.fast, seed=options.seed, on_phase=lambda name: recording.enter(name, titles[name])
        )
    )


async def _warm(model: Model, ticket: Ticket) -> None:
    """Asks one question that is not part of the run, so that nobody's first call pays for loading libraries."""
    await ResilientModel([model], name="warm-up", deadline=WARM_SECONDS).agenerate(
        ticket.text, output_type=Triage
    )


async def _keep_showing(model: ResilientModel, recording: Recording, show: Show) -> None:
    while True:
        health = model.health()
        recording.sample(health.models[0])
        show(recording, health)
        await SYSTEM_CLOCK.asleep(SAMPLE_SECONDS)


async def _send_all(
    model: ResilientModel, tickets: Sequence[Ticket], due: Sequence[float], recording: Recording
) -> None:
    async with asyncio.TaskGroup() as calls:
        for ticket, at in zip(tickets, due, strict=True):
            await SYSTEM_CLOCK.asleep(max(0.0, at - recording.seconds))
            calls.create_task(_send(model, ticket, recording))


async def _send(model: ResilientModel, ticket: Ticket, recording: Recording) -> None:
    messages = [
        {"role": "system", "content": policy.INSTRUCTIONS},
        {"role": "user", "content": ticket.text},
    ]
    try:
        reply = await model.agenerate(messages, output_type=Triage)
    except ResilientError:
        return  # the recording has it
    except Exception as error:  # noqa: BLE001 - counted: such an exception is what the demo must show never comes
        recording.untyped.append(type(error).__name__)
        return
    recording.agreement[ON_DEVICE if reply.degraded else "remote"].add(
        cast("Triage", reply.output), ticket.expected
    )
