"""An outage in which everything happens that a rule or a panel asks about, played in the process without a wait."""

from __future__ import annotations

from resilient_ai import ResilientModel
from resilient_ai.core.events import Event
from resilient_ai.core.model import Price, Traits
from resilient_ai.errors import CallError
from resilient_ai.messages import Reply
from resilient_ai.policies.breaker import Breaker
from resilient_ai.policies.budget import RetryBudget
from resilient_ai.policies.hedge import Hedge
from resilient_ai.policies.retry import Retry
from resilient_ai.policies.throttle import Throttle
from resilient_ai.testing import ScriptedModel, SteadyRandom, error, ok

PRICED = Traits(typical_seconds=0.05, price=Price(1.0, 2.0))
PATIENT = Retry(base=0.001, cap=0.002)


def play_outage() -> None:
    """Well, failing, away, without a right to ask, full, late, and answering nonsense; from one chain with a model behind, and from one without."""
    device = ScriptedModel([ok()], name="device", repeat=True)
    remote = ScriptedModel(
        [
            *(ok("well", after=0.0), error(503), ok("well again")),
            *[error(503)] * 40,
        ],
        name="remote",
        traits=PRICED,
    )
    with ResilientModel([remote, device], name="support", deadline=5, retry=PATIENT) as support:
        for _ in range(12):
            support.generate("Where is my parcel?")

    talker = ScriptedModel([ok("one two three", gap=0.001)], name="talker", repeat=True, traits=PRICED)
    with ResilientModel([talker], name="stream", deadline=5) as chain, chain.stream("Tell me.") as pieces:
        assert "".join(chunk.text for chunk in pieces) == "one two three"

    for kind in ("authentication", "quota_exhausted", "model_unavailable", "bad_request"):
        barred = ScriptedModel([error(kind=kind)], name=kind, repeat=True)
        alone = ResilientModel([barred], name="alone", deadline=5)
        _fails(alone)
    storming = ScriptedModel([error(503)], name="storming", repeat=True)
    _fails(
        ResilientModel(
            [storming],
            name="alone",
            deadline=5,
            retry=PATIENT,
            breaker=Breaker(enabled=False),
            budget=RetryBudget(capacity=0, floor=0),
        )
    )
    refusing = ScriptedModel([error(429)], name="refusing", repeat=True)
    held_back = ResilientModel(
        [refusing, device], name="support", deadline=5, retry=Retry(attempts=1), throttle=Throttle(min_requests=1), chance=SteadyRandom(0.0)
    )  # fmt: skip
    assert [held_back.generate("Where is my parcel?").text for _ in range(2)] == ["ok", "ok"]
    late = ScriptedModel([ok(after=0.02)], name="late")
    spent = RetryBudget(capacity=0, floor=0)
    ResilientModel([late], name="support", deadline=5, hedge=Hedge(after=0.001), budget=spent).generate(
        "Soon?"
    )
    babbler = ScriptedModel([ok("nonsense"), ok("sense")], name="babbler", traits=PRICED)
    chain = ResilientModel(
        [babbler, device], name="support", deadline=5, checks=[_makes_sense], observers=[_full_disk]
    )
    assert chain.generate("Make sense.").text == "sense"


def _makes_sense(reply: Reply) -> bool:
    return reply.text == "sense"


def _full_disk(_: Event) -> None:
    raise OSError


def _fails(model: ResilientModel) -> None:
    try:
        model.generate("Where is my parcel?")
    except CallError:
        return
    raise AssertionError("the call was answered")
