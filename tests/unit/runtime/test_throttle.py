"""A chain whose models refuse for load, with the adaptive throttle on, in both colours on a virtual clock."""

from __future__ import annotations

import contextlib
from typing import Annotated, Any

import pytest
from pydantic import AfterValidator

from colours import Colour
from resilient_ai import (
    AllModelsFailed,
    Breaker,
    ConfigError,
    FailureKind,
    InvalidOutput,
    ModelError,
    Overloaded,
    ResilientModel,
    Retry,
    Throttle,
    resilient,
)
from resilient_ai.core import events
from resilient_ai.core.model import Traits
from resilient_ai.telemetry import names
from resilient_ai.testing import ScriptedModel, SteadyRandom, Step, error, ok

ONCE = Retry(attempts=1)
CLOSED = Breaker(enabled=False)
LOCAL = Traits(local=True, typical_seconds=0.05)
QUICK = Throttle(min_requests=2)
"""Rejects two in three once two requests were refused: more than the half at which chance stands."""


def refusing(name: str = "remote", status: int = 429) -> ScriptedModel:
    return ScriptedModel([error(status)], name=name, repeat=True)


def tire(colour: Colour, chain: ResilientModel, calls: int = 2) -> None:
    for _ in range(calls):
        with pytest.raises((ModelError, AllModelsFailed)):
            colour.ask(chain)


@pytest.mark.parametrize("status", [429, 503, 529])
def test_a_request_that_would_be_refused_is_not_sent_and_the_next_model_answers(
    colour: Colour, status: int
) -> None:
    first, second = refusing(status=status), ScriptedModel([ok("b")], name="second", repeat=True)
    chain = colour.chain(first, second, throttle=QUICK, retry=ONCE, breaker=CLOSED)
    colour.ask(chain)
    colour.ask(chain)
    reply = colour.ask(chain)
    assert len(first.log) == 2
    assert reply.text == "b"
    assert reply.degraded
    assert reply.outcome is not None
    assert [(skip.model, skip.reason) for skip in reply.outcome.skipped] == [("remote", "throttled")]
    assert [used.reason for used in colour.captured.of(events.FallbackUsed)][-1] == "throttled"


@pytest.mark.parametrize(
    "step", [error(400), error(500), error(kind="connection"), error(kind="timeout"), ok()]
)
def test_a_failure_that_is_no_refusal_for_load_keeps_nothing_back(colour: Colour, step: Step) -> None:
    model = ScriptedModel([step], repeat=True)
    chain = colour.chain(model, throttle=QUICK, retry=ONCE, breaker=CLOSED)
    for _ in range(20):
        with contextlib.suppress(ModelError):
            colour.ask(chain)
    assert len(model.log) == 20


def test_where_nobody_is_left_the_call_fails_as_overloaded_and_nothing_is_sent(colour: Colour) -> None:
    model = refusing()
    chain = colour.chain(model, throttle=QUICK, retry=ONCE, breaker=CLOSED)
    tire(colour, chain)
    with pytest.raises(Overloaded, match="the throttle kept this request from it") as caught:
        colour.ask(chain)
    assert caught.value.kind is FailureKind.OVERLOADED
    assert caught.value.attempts == ()
    assert len(model.log) == 2


def test_a_rejected_retry_is_left_out_and_the_failure_is_the_models_own(colour: Colour) -> None:
    model = refusing()
    chain = colour.chain(model, throttle=QUICK, retry=Retry(attempts=5, base=0.01), breaker=CLOSED)
    with pytest.raises(ModelError) as caught:
        colour.ask(chain)
    assert len(caught.value.attempts) == 2
    assert [event.reason for event in colour.captured.of(events.RetrySuppressed)] == ["throttle"]
    assert chain.plan.hops[0].state.budget.tokens == 500 - 5


def test_a_kind_that_is_waited_for_is_not_given_up_for_the_throttle(colour: Colour) -> None:
    model = ScriptedModel([*[error(429)] * 6, ok("at last")])
    chain = colour.chain(model, throttle=QUICK, breaker=CLOSED, on={"rate_limited": "wait"}, deadline=60)
    assert colour.ask(chain).text == "at last"


def test_a_draft_is_not_asked_for_again_where_the_throttle_forbids_it(colour: Colour) -> None:
    def objection(text: str) -> str:
        raise ValueError("never good")

    class Falling:
        """The dice: first for the throttle, then against it."""

        drawn = iter([0.9, 0.1])

        def random(self) -> float:
            return next(self.drawn)

    model = ScriptedModel([error(429), error(429), ok("text")])
    chain = colour.chain(model, throttle=QUICK, retry=ONCE, breaker=CLOSED, chance=Falling())
    tire(colour, chain)
    with pytest.raises(InvalidOutput):
        colour.ask(chain, output_type=Annotated[str, AfterValidator(objection)])
    assert [event.reason for event in colour.captured.of(events.RetrySuppressed)][-1] == "throttle"
    model.assert_done()


def test_the_model_on_the_device_is_a_last_resort_for_throttled_models_too(colour: Colour) -> None:
    remote, device = refusing(), ScriptedModel([error(503), error(503), ok("here")], name="d", traits=LOCAL)
    chain = colour.chain(remote, device, throttle=QUICK, retry=ONCE, breaker=CLOSED)
    tire(colour, chain)
    assert colour.ask(chain).text == "here"
    assert len(remote.log) == 2


def test_without_a_last_resort_throttled_models_are_left_alone(colour: Colour) -> None:
    models = refusing("a"), refusing("b")
    chain = colour.chain(*models, throttle=QUICK, retry=ONCE, breaker=CLOSED, when_all_open="raise")
    tire(colour, chain)
    with pytest.raises(Overloaded):
        colour.ask(chain)
    assert [len(model.log) for model in models] == [2, 2]


def test_waiting_for_open_breakers_does_not_wait_for_a_throttle(colour: Colour) -> None:
    chain = colour.chain(
        refusing(), throttle=QUICK, retry=ONCE, breaker=CLOSED, when_all_open="wait", deadline=30
    )
    tire(colour, chain)
    colour.clock.sleeps.clear()
    with pytest.raises(Overloaded):
        colour.ask(chain)
    assert colour.clock.sleeps == []


def test_health_tells_the_share_and_explain_tells_the_policy(colour: Colour) -> None:
    chain = colour.chain(refusing(), throttle=QUICK, retry=ONCE, breaker=CLOSED)
    assert chain.health().models[0].throttled == 0.0
    tire(colour, chain)
    assert chain.health().models[0].throttled == pytest.approx(2 / 3)
    assert "throttle: 2 requests let out for each accepted one, at most 90% rejected" in chain.explain()
    assert "throttle" not in colour.chain(refusing()).explain()
    assert "throttle" not in colour.chain(refusing(), throttle=Throttle(enabled=False)).explain()


def test_chains_that_ask_the_same_model_share_what_it_refused(colour: Colour) -> None:
    model = refusing()
    one = colour.chain(model, throttle=QUICK, retry=ONCE, breaker=CLOSED, name="one")
    other = colour.chain(model, throttle=QUICK, retry=ONCE, breaker=CLOSED, name="other")
    free = colour.chain(model, retry=ONCE, breaker=CLOSED, name="free")
    tire(colour, one)
    with pytest.raises(Overloaded):
        colour.ask(other)
    tire(colour, free)


def test_a_streamed_call_is_throttled_like_a_whole_one(colour: Colour) -> None:
    model = refusing()
    chain = colour.chain(model, throttle=QUICK, retry=ONCE, breaker=CLOSED)
    tire(colour, chain)
    with pytest.raises(Overloaded):
        colour.stream(chain)


def test_what_is_no_throttle_is_refused_with_how_it_is_written() -> None:
    with pytest.raises(ConfigError, match=r"throttle=Throttle\(k=2\)"):
        ResilientModel([ScriptedModel()], throttle=True)  # type: ignore[arg-type]


def test_a_decorated_function_is_throttled_by_what_it_raises(colour: Colour) -> None:
    class TooMany(Exception):
        status_code = 429

    asked: list[str] = []

    def function(text: str) -> str:
        asked.append(text)
        raise TooMany

    def shout(text: str) -> str:
        return text.upper()

    policy: dict[str, Any] = {"throttle": QUICK, "retry": ONCE, "breaker": CLOSED, "clock": colour.clock}
    guarded = resilient(chance=SteadyRandom(0.5), fallback=[shout], **policy)(function)
    assert [guarded("a") for _ in range(5)] == ["A"] * 5
    assert len(asked) == 2


def test_a_rejection_is_counted_by_model(colour: Colour) -> None:
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import InMemoryMetricReader

    from resilient_ai.telemetry import Metrics

    reader = InMemoryMetricReader()
    provider = MeterProvider([reader], shutdown_on_exit=False)
    metrics = Metrics(provider)
    model = refusing()
    chain = ResilientModel(
        [model], clock=colour.clock, chance=SteadyRandom(0.5), observers=[metrics], throttle=QUICK,
        retry=Retry(attempts=3, base=0.0), breaker=CLOSED,
    )  # fmt: skip
    tire(colour, chain, 1)
    with pytest.raises(Overloaded):
        colour.ask(chain)
    data = reader.get_metrics_data()
    assert data is not None
    found = {
        metric.name: [getattr(point, "value", None) for point in metric.data.data_points]
        for resource in data.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
    }
    assert found[names.METRIC_THROTTLE_REJECTIONS] == [2]
    metrics.forget()
    provider.shutdown()
