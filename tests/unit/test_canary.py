"""Nothing of what passes through a call is seen outside of it, on every path a call can take, in both colours."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import pytest

from colours import Colour
from resilient_ai import (
    Breaker,
    ConfigError,
    CostCap,
    InvalidRequest,
    Limits,
    Message,
    ModelError,
    Privacy,
    Reply,
    Request,
    ResilientModel,
    Retry,
    StreamInterrupted,
    Text,
    ToolCall,
    ToolResult,
    resilient,
)
from resilient_ai.config import load_config
from resilient_ai.core.events import Event
from resilient_ai.core.failure import FailureKind, verdict_of
from resilient_ai.core.model import Price, Traits
from resilient_ai.models import FunctionModel, OpenAIModel, canned
from resilient_ai.runtime import observers
from resilient_ai.testing import Captured, ManualClock, ScriptedModel, cut, error, ok, raises, stall
from watching import Seen, planted, planted_key, watched

PERSONAL = f"ann.{planted('mail')}@example.com"
CONVERSATION = (
    Message("system", (Text(planted("system")),)),
    Message("user", (Text(f"{planted('prompt')} {PERSONAL}"),), name=planted("name")),
    Message("assistant", (ToolCall("c1", "mail", f'{{"to": "{planted("arguments")}"}}'),)),
    Message("tool", (ToolResult("c1", planted("result")),)),
)
ANSWER = ok(f"{planted('answer')} two three", tool_calls=[ToolCall("c2", "mail", planted("arguments"))])
LESS = Traits(typical_seconds=0.05, data_classes=frozenset({"public"}))


@pytest.fixture(params=["blocking", "asyncio"])
def colour(request: pytest.FixtureRequest) -> Colour:
    return Colour(request.param, ManualClock(), Captured())


def explode(*_: object) -> NoReturn:
    """Fails with content in its text, its cause, its arguments and its frame."""
    local = planted("local")
    try:
        raise KeyError(planted("cause"), local)
    except KeyError as cause:
        raise ValueError(planted("exception"), planted_key()) from cause


def function_that_fails(_: Request) -> str:
    explode()


def echo(question: str) -> str:
    return f"{planted('answer')} {question}"


def words(_: str) -> Iterator[str]:
    yield planted("first")
    explode()


def typed() -> ModelError:
    """A failure as a model of this library raises it, with a body that repeats the request."""
    failure = ModelError(
        "server error",
        verdict=verdict_of(FailureKind.SERVER_ERROR),
        model="m",
        provider="p",
        body=planted("body").encode(),
    )
    failure.__cause__ = None
    return failure


def bad_check(reply: Reply) -> str:
    return f"It said {reply.text}, which is {planted('problem')}."


def check_once(reply: Reply) -> str | None:
    return None if reply.text == "fine" else bad_check(reply)


def classify_nothing(failure: Exception) -> NoReturn:
    raise RuntimeError(str(failure), planted("hook"))


@dataclass
class Route:
    """One way a call can go: what is asked, and how it is told."""

    models: Callable[[], list[Any]]
    policies: dict[str, Any] = field(default_factory=dict[str, Any])
    options: dict[str, Any] = field(default_factory=dict[str, Any])
    calls: int = 1
    foreign: bool = False
    """An exception of somebody else reaches the caller; its own text is not ours to change."""


PATHS: dict[str, Route] = {
    "ok": Route(lambda: [ScriptedModel([ANSWER])]),
    "retry": Route(lambda: [ScriptedModel([raises(typed()), ANSWER])]),
    "fallback": Route(lambda: [ScriptedModel([raises(typed())] * 3, name="first"), ScriptedModel([ANSWER])]),
    "canned": Route(lambda: [ScriptedModel([error(500)] * 3), canned(planted("canned"))]),
    "a function that fails": Route(lambda: [function_that_fails], foreign=True),
    "functions that fail": Route(
        lambda: [function_that_fails, FunctionModel(explode, name="second")], foreign=True
    ),
    "a generator that fails": Route(lambda: [words], foreign=True),
    "a function": Route(lambda: [echo]),
    "breaker open": Route(
        lambda: [ScriptedModel([error(500)] * 2)], {"breaker": Breaker(consecutive=2)}, calls=3
    ),
    "rate limited": Route(lambda: [ScriptedModel([error(429, retry_after=500)])], calls=2),
    "quota": Route(lambda: [ScriptedModel([error(402, body=planted("body").encode())] * 3)]),
    "deadline": Route(lambda: [ScriptedModel([stall(500)])], {"deadline": 5.0}),
    "out of time at every model": Route(
        lambda: [ScriptedModel([stall(500)]), ScriptedModel([stall(500)], name="b")], {"deadline": 5.0}
    ),
    "cut": Route(lambda: [ScriptedModel([cut(2, f"{planted('answer')} {planted('rest')} c d e")] * 3)]),
    "cut and restarted": Route(
        lambda: [ScriptedModel([cut(1, planted("answer") + " b c")] * 3), ScriptedModel([ANSWER], name="b")],
        {"on_interrupt": "restart"},
    ),
    "cut and continued": Route(
        lambda: [ScriptedModel([cut(1, planted("answer") + " b c")] * 3), ScriptedModel([ANSWER], name="b")],
        {"on_interrupt": "continue"},
    ),
    "invalid output": Route(
        lambda: [ScriptedModel([ok(f'{{"{planted("field")}": "{planted("value")}"}}')] * 3)],
        options={"output_type": dict[str, int]},
    ),
    "asked again": Route(
        lambda: [ScriptedModel([ok(planted("draft")), ok("7")])], options={"output_type": int}
    ),
    "asked again by a check": Route(
        lambda: [ScriptedModel([ANSWER, ok("fine")])],
        {"checks": [check_once]},
    ),
    "not json": Route(lambda: [ScriptedModel([ANSWER] * 3)], options={"output_type": int}),
    "check failure": Route(lambda: [ScriptedModel([ANSWER] * 3)], {"checks": [bad_check]}),
    "check that raises": Route(lambda: [ScriptedModel([ANSWER] * 3)], {"checks": [explode]}),
    "classify hook that fails": Route(
        lambda: [ScriptedModel([raises(typed()), ANSWER])], {"classify": classify_nothing}
    ),
    "observer that fails": Route(lambda: [ScriptedModel([ANSWER])], {"observers": [explode]}),
    "shed": Route(lambda: [ScriptedModel([ANSWER])], {"limits": Limits(concurrency=1, queue=0)}, calls=2),
    "too dear": Route(
        lambda: [ScriptedModel([ANSWER], traits=Traits(price=Price(1, 1, per=1)))],
        {"max_cost": CostCap(per_call=1.0)},
    ),
    "not cleared": Route(lambda: [ScriptedModel([ANSWER], traits=LESS)], options={"data_class": "personal"}),
    "pseudonymised": Route(
        lambda: [ScriptedModel([raises(typed()), ANSWER], traits=LESS)],
        {"privacy": Privacy(("personal",))},
        {"data_class": "personal"},
    ),
    "pseudonyms that fail": Route(
        lambda: [ScriptedModel([], traits=LESS)],
        {"privacy": Privacy(("personal",), (explode,))},
        {"data_class": "personal"},
    ),
    "content filtered": Route(
        lambda: [ScriptedModel([ok(planted("answer"), finish_reason="content_filtered")])],
        {"on": {"content_filtered": "raise"}},
    ),
}


@pytest.mark.parametrize("way", ["whole", "streamed"])
@pytest.mark.parametrize("path", PATHS)
def test_nothing_is_seen_of_a_call(
    colour: Colour, path: str, way: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    taken = PATHS[path]
    with watched(tmp_path) as seen:
        policies: dict[str, Any] = {"retry": Retry(2, base=0, cap=0), "clock": colour.clock}
        chain = ResilientModel(taken.models(), **{**policies, **taken.policies})
        for _ in range(taken.calls):
            if path == "shed":
                chain._places.enter(None)
            _ask(colour, chain, way, taken, seen)
        seen.note("the chain", chain, chain.explain(), chain.health(), chain.plan)
    captured = capfd.readouterr()
    seen.note("the terminal", captured.out, captured.err)
    assert seen.leaks() == {}
    assert seen.texts["the log file"].count("call.finished") >= taken.calls
    assert seen.texts["the audit trail"].count('"record":"call"') >= taken.calls


def _ask(colour: Colour, chain: ResilientModel, way: str, taken: Route, seen: Seen) -> None:
    options = {**taken.options, "user": planted("extra"), "stop": [planted("stop")]}
    if "output_type" in options and chain.plan.on_interrupt == "continue":
        del options["output_type"]
    try:
        if way == "whole":
            reply = colour.ask(chain, CONVERSATION, **options)
        else:
            chunks, reply = colour.stream(chain, CONVERSATION, **options)
            seen.note("the chunks", *chunks)
    except Exception as failure:  # noqa: BLE001 - what is looked at
        seen.met(failure, foreign=taken.foreign)
        for name in ("draft", "partial"):
            seen.note(f"its {name}", getattr(failure, name, None))
        return
    seen.note("the reply", reply, reply.outcome, *reply.tool_calls)


@pytest.mark.parametrize("way", ["whole", "streamed"])
def test_nothing_is_seen_of_a_call_that_is_cancelled(
    way: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    colour = Colour("asyncio", ManualClock(), Captured())
    with watched(tmp_path) as seen:
        chain = ResilientModel(ScriptedModel([stall(50)]), clock=colour.clock)

        async def main() -> None:
            work = chain.agenerate(CONVERSATION) if way == "whole" else chain.astream(CONVERSATION).reply()
            task = asyncio.ensure_future(work)
            await colour.clock.asleep(1.0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError) as caught:
                await task
            seen.met(caught.value)

        colour.clock.run(main())
    seen.note("the terminal", *capfd.readouterr())
    assert seen.leaks() == {}


def test_nothing_is_seen_of_a_stream_that_is_left_or_dropped(
    colour: Colour, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with watched(tmp_path) as seen:
        chain = ResilientModel(ScriptedModel([ANSWER, ANSWER]), clock=colour.clock)
        if colour.name == "blocking":
            next(chain.stream(CONVERSATION))
            with chain.stream(CONVERSATION) as stream:
                next(stream)
            seen.note("the stream", stream, stream.outcome)
        else:

            async def main() -> None:
                async with chain.astream(CONVERSATION) as stream:
                    await anext(stream)
                seen.note("the stream", stream, stream.outcome)

            colour.clock.run(main())
    seen.note("the terminal", *capfd.readouterr())
    assert seen.leaks() == {}


BAD_FILES = {
    "a literal key": f'[models.a]\nprovider = "openai"\nmodel = "m"\napi_key = "{planted_key()}"\n',
    "a key in the address": f'[models.a]\nprovider = "openai"\nmodel = "m"\nbase_url = "https://u:{planted_key()}@h/v1"\n',
    "a literal known value": f'[privacy]\nknown_values = ["{planted_key()}"]\n',
    "a key in an option": f'[models.a]\nprovider = "openai"\nmodel = "m"\nprice = "{planted_key()}"\n',
}


@pytest.mark.parametrize("what", BAD_FILES)
def test_nothing_is_seen_of_a_configuration_error(what: str, tmp_path: Path) -> None:
    file = tmp_path / "resilient.toml"
    file.write_text(BAD_FILES[what])
    seen = Seen()
    with pytest.raises(ConfigError) as caught:
        load_config(file)
    seen.met(caught.value)
    assert seen.leaks() == {}


@pytest.mark.parametrize(
    "make",
    [
        lambda: OpenAIModel("m", f"https://u:{planted_key()}@host/v1", "key"),
        lambda: OpenAIModel("m", f"https://host/v1?key={planted_key()}", "key"),
        lambda: OpenAIModel("m", f"{planted_key()}://host", "key"),
        lambda: OpenAIModel("m", "https://host/v1", f"{planted_key()}\n{planted_key()}"),
        lambda: OpenAIModel("m", "https://host/v1", "key", headers={"x-tenant": f"{planted('header')}\r\n"}),
        lambda: ResilientModel(canned("x")).generate(
            [{"role": planted("role"), "content": planted("prompt")}]
        ),
        lambda: ResilientModel(canned("x")).generate(
            [{"role": "user", "content": {"text": planted("prompt")}}]
        ),
        lambda: ResilientModel(canned("x")).generate(
            "x", tools=[{"function": {"description": planted("tool")}}]
        ),
    ],
)
def test_nothing_is_seen_of_a_request_or_model_that_cannot_be_made(make: Callable[[], object]) -> None:
    seen = Seen()
    with pytest.raises((ConfigError, InvalidRequest)) as caught:
        make()
    seen.met(caught.value)
    assert seen.leaks() == {}


def test_a_failing_observer_is_counted_and_reported_once_and_changes_no_call(
    colour: Colour, tmp_path: Path
) -> None:
    told: list[Event] = []

    def broken(event: Event) -> None:
        told.append(event)
        explode()

    broken.__qualname__ = f"broken_{colour.name}"  # each name is reported once in the life of a process
    with watched(tmp_path) as seen:
        chain = ResilientModel(ScriptedModel([ANSWER] * 2), clock=colour.clock, observers=[broken])
        assert [colour.ask(chain).text, colour.ask(chain).text] == [ANSWER.text] * 2
    [count] = [count for name, count in observers.failures().items() if name.endswith(broken.__qualname__)]
    assert count == len(told) > 5
    assert seen.records.getvalue().count(broken.__qualname__) == 1
    assert seen.leaks() == {}


@pytest.mark.parametrize("way", ["answers", "fails", "falls back", "yields"])
def test_nothing_is_seen_of_a_decorated_function(
    way: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Neither of what it is called with, nor of what it returns, yields or raises."""

    def behind(text: str, *, key: str) -> str:
        return planted("answer") + text + key

    def asked(text: str, *, key: str) -> str:
        if way != "answers":
            explode()
        return planted("answer") + text + key

    def pieces(text: str, *, key: str) -> Iterator[str]:
        yield text + key
        explode()

    function: Any = pieces if way == "yields" else asked
    options: dict[str, Any] = {"fallback": [behind]} if way == "falls back" else {}
    with watched(tmp_path) as seen:
        decorated: Any = resilient(retry=Retry(2, base=0, cap=0), clock=ManualClock(), **options)(function)
        try:
            given = decorated(planted("argument"), key=planted_key())
            if way == "yields":
                list(given)
        except (ValueError, StreamInterrupted) as failure:
            seen.met(failure, foreign=True)
        seen.note("the function", decorated, decorated.resilience.health())
    seen.note("the terminal", *capfd.readouterr())
    assert seen.leaks() == {}
    assert "call.finished" in seen.texts["the log file"]
    assert '"record":"call"' in seen.texts["the audit trail"]
