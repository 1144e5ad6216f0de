"""Who answers when the function cannot."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from resilient_ai import (
    AllModelsFailed,
    ConfigError,
    InvalidRequest,
    Message,
    Reply,
    Retry,
    Text,
    remaining_seconds,
    resilient,
    resilient_options,
)
from resilient_ai.core import events
from resilient_ai.core.model import Traits
from resilient_ai.models import canned
from resilient_ai.testing import ManualClock, ScriptedModel, error, ok
from unit.decorator.conftest import Kind

if TYPE_CHECKING:
    from decimal import Decimal

ONCE = Retry(attempts=1)


class Vendor(Exception):
    """Some client's own exception."""


def failing(text: str) -> str:
    raise Vendor


def test_another_function_gets_the_same_arguments(kind: Kind) -> None:
    backup = kind.plain("b", name="backup")
    function = kind.decorated(Vendor(), fallback=[backup], retry=ONCE)
    thing = object()
    assert kind.call(function, thing, key=1) in ("b", ["b"])
    assert kind.calls == [((thing,), {"key": 1})] * 2
    finished = kind.captured.of(events.CallFinished)[0].outcome
    assert (finished.served_by, finished.degraded) == ("backup", True)


def test_a_registered_function_is_the_next_in_line_and_stays_itself(kind: Kind) -> None:
    function = kind.decorated(Vendor(), fallback=kind.plain(Vendor()), retry=ONCE)
    backup = kind.plain("c", name="last")
    assert function.fallback(backup) is backup
    assert kind.call(function) in ("c", ["c"])
    assert len(kind.calls) == 3


def test_registering_keeps_what_the_breakers_know() -> None:
    clock = ManualClock()
    function = resilient(clock=clock, retry=ONCE)(failing)
    for _ in range(5):
        with pytest.raises(Vendor):
            function("q")

    @function.fallback
    def backup(text: str) -> str:
        return f"backup for {text}"

    assert function.resilience.health().status == "degraded"
    assert function("q") == "backup for q"
    outcome = function.resilience.last_outcome()
    assert outcome is not None
    assert [skip.reason for skip in outcome.skipped] == ["circuit_open"]


def test_a_decorated_function_may_stand_behind_another(kind: Kind) -> None:
    backup = kind.decorated(Vendor(), "b", retry=Retry(attempts=2))
    function = kind.decorated(Vendor(), fallback=[backup], retry=ONCE)
    assert kind.call(function) in ("b", ["b"])


def test_when_all_fail_the_group_begins_with_the_functions_own_failure(kind: Kind) -> None:
    first = Vendor("first")
    function = kind.decorated(first, fallback=[kind.plain(OSError("second"))], retry=ONCE)
    with pytest.raises(AllModelsFailed) as caught:
        kind.call(function)
    assert caught.value.exceptions[0] is first
    assert isinstance(caught.value.exceptions[1], OSError)


def test_a_text_stands_in_for_every_kind(kind: Kind) -> None:
    function = kind.decorated(Vendor(), fallback=[canned("Try again later.")], retry=ONCE)
    answer = kind.call(function, "question")
    assert answer == (["Try again later."] if kind.streaming else "Try again later.")


def test_a_model_is_asked_the_first_text_among_the_arguments(no_loop: None) -> None:
    model = ScriptedModel([ok("from the model")])

    def lookup(number: int, *, style: str = "short", text: str = "") -> str:
        raise Vendor

    assert (
        resilient(fallback=[model], retry=ONCE)(lookup)(3, text="the text", style="the style")
        == "from the model"
    )
    assert model.requests[0].messages == (Message("user", (Text("the style"),)),)


def test_a_prompt_makes_what_a_model_is_asked_of_the_arguments(kind: Kind) -> None:
    model = ScriptedModel([ok("four")])

    def prompt(a: int, b: int) -> list[dict[str, Any]]:
        return [{"role": "system", "content": "Add."}, {"role": "user", "content": f"{a} and {b}"}]

    function = kind.decorated(Vendor(), fallback=[model], prompt=prompt, retry=ONCE)
    assert kind.call(function, 2, b=2) in ("four", ["four"])
    assert [message.text for message in model.requests[0].messages] == ["Add.", "2 and 2"]


def test_arguments_without_text_are_refused_at_the_first_call_not_at_the_first_failure(kind: Kind) -> None:
    function = kind.decorated("a", fallback=[ScriptedModel([]), canned("sorry")])
    with pytest.raises(InvalidRequest, match="prompt="):
        kind.call(function, 3)
    assert kind.calls == []


def test_a_fixed_answer_stands_behind_arguments_without_text(kind: Kind) -> None:
    function = kind.decorated("a", Vendor(), Vendor(), fallback=[canned("sorry")], retry=ONCE)
    assert kind.call(function, 3) in ("a", ["a"])
    assert kind.call(function, 3) in ("sorry", ["sorry"])
    assert kind.call(function) in ("sorry", ["sorry"])


def test_an_empty_text_still_reaches_the_function() -> None:
    def bracketed(text: str) -> str:
        return f"<{text}>"

    assert resilient(fallback=[canned("sorry")])(bracketed)("") == "<>"


def test_a_result_makes_the_return_value_of_a_reply() -> None:
    def measured(text: str) -> int:
        raise Vendor

    def size(reply: Reply) -> int:
        return len(reply.text)

    assert resilient(fallback=[canned("12345")], result=size, retry=ONCE)(measured)("q") == 5


async def _later(text: str) -> str:
    raise AssertionError("never called")


async def _items_later(text: str) -> AsyncIterator[str]:
    yield await _later(text)


def returns_int(text: str) -> int:
    return 1


def returns_nothing(text: str) -> None:
    return None


def returns_decimal(text: str) -> Decimal:
    """Its annotation exists for type checkers only."""
    raise AssertionError("never called")


def yields_int(text: str) -> Iterator[int]:
    yield 1


def returns_any(text: str) -> Any:
    return 1


def returns_maybe(text: str) -> str | None:
    return None


def returns_text_of_unknown(one: Decimal) -> str:
    return str(one)


def yields_text(text: str) -> Iterator[str]:
    yield "a"


@pytest.mark.parametrize(
    "function", [returns_int, returns_nothing, returns_decimal, yields_int], ids=lambda f: f.__name__
)
def test_text_is_refused_where_the_function_returns_something_else(function: Any) -> None:
    with pytest.raises(ConfigError, match="could only give text"):
        resilient(fallback=[canned("sorry")])(function)


@pytest.mark.parametrize(
    "function",
    [
        returns_any,
        returns_maybe,
        returns_text_of_unknown,
        yields_text,
        pow,
        failing,
        _later,
        _items_later,
    ],
    ids=lambda f: f.__name__,
)
def test_text_is_taken_where_the_function_returns_text(function: Any) -> None:
    assert resilient(fallback=[canned("sorry")])(function).resilience.health().models[1].model == "canned"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"fallback": [3]}, "can answer"),
        ({"fallback": ["small"]}, "not a model"),
        ({"fallback": [_later]}, "asynchronous"),
        ({"fallback": [_items_later]}, "asynchronous"),
        ({"result": len}, "fallback= names none"),
        ({"deadline": -1}, "above 0"),
        ({"deadline": 1, "reserve": 3, "fallback": [failing]}, "reserves"),
    ],
)
def test_wrong_options_are_told_at_the_decorators_line(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        resilient(**options)(failing)


def test_an_asynchronous_function_cannot_be_registered_behind_a_blocking_one() -> None:
    function = resilient(failing)
    with pytest.raises(ConfigError, match="asynchronous"):
        function.fallback(_later)  # type: ignore[arg-type]
    assert len(function.resilience.health().models) == 1


def test_a_blocking_function_behind_an_asynchronous_one_runs_in_a_thread() -> None:
    clock = ManualClock()
    threads: list[int] = []

    async def first(text: str) -> str:
        raise Vendor

    def second(text: str) -> str:
        import threading

        threads.append(threading.get_ident())
        left = remaining_seconds()
        assert left is not None
        return f"{text}, {left:g} s left"

    import threading

    function = resilient(fallback=[second], deadline=7, clock=clock, retry=ONCE)(first)
    assert clock.run(function("q")) == "q, 7 s left"
    assert threads != [threading.get_ident()]


def test_a_model_not_cleared_for_the_data_is_not_asked(kind: Kind) -> None:
    cloud = ScriptedModel([], traits=Traits(data_classes=frozenset({"public"})))
    function = kind.decorated(
        *[Vendor()] * 2, fallback=[cloud, canned("here")], data_class="personal", retry=ONCE
    )
    assert kind.call(function, "q") in ("here", ["here"])
    open_function = kind.decorated(Vendor(), fallback=[cloud, canned("here")], retry=ONCE)

    def careful() -> Any:
        with resilient_options(data_class="restricted"):
            return kind.call(open_function, "q")

    assert careful() in ("here", ["here"])
    assert cloud.log == []


def test_a_value_that_is_none_is_an_answer_even_where_empty_ones_are_objected_to(kind: Kind) -> None:
    value: list[str] | None = [] if kind.streaming else None
    assert kind.call(kind.decorated(value, on={"invalid_output": "next"})) == value


def test_models_among_the_fallbacks_are_closed_with_the_function() -> None:
    clock, model = ManualClock(), ScriptedModel([error(500)])
    function = resilient(fallback=[model], clock=clock)(failing)
    function.resilience.close()
    clock.run(function.resilience.aclose())
    assert model.closed == 2


CONFIG = """
version = 1

[models.sorry]
provider = "canned"
text = "from the file"

[chains.support]
models = ["sorry"]
deadline = "7s"
retry = { attempts = 1 }

[chains.other]
models = ["sorry"]
"""


def test_the_policy_comes_from_the_file_and_its_models_by_name(kind: Kind, tmp_path: Path) -> None:
    path = tmp_path / "resilient.toml"
    path.write_text(CONFIG)
    function = kind.decorated(Vendor(), chain="support", config=path, fallback=["sorry"])
    assert kind.call(function, "q") in ("from the file", ["from the file"])
    assert len(kind.calls) == 1
    assert "deadline 7 s" in function.resilience.explain()


def test_the_models_of_the_files_chain_answer_only_when_named(tmp_path: Path) -> None:
    path = tmp_path / "resilient.toml"
    path.write_text(CONFIG)
    with pytest.raises(Vendor):
        resilient(chain="support", config=path)(failing)("q")


def test_what_the_decorator_says_goes_before_what_the_file_says(tmp_path: Path) -> None:
    path = tmp_path / "resilient.toml"
    path.write_text(CONFIG)
    assert "deadline 3 s" in resilient(chain="support", config=path, deadline=3)(failing).resilience.explain()


def test_the_file_is_read_at_the_first_call(tmp_path: Path) -> None:
    """Importing a module must not depend on a file that the program only names later."""
    path = tmp_path / "resilient.toml"
    function = resilient(chain="support", config=os.fspath(path))(failing)
    with pytest.raises(ConfigError):
        function("q")
    path.write_text(CONFIG)
    with pytest.raises(Vendor):
        function("q")
