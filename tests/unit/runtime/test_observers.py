from __future__ import annotations

import ast
import asyncio
import gc
import logging
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from resilient_ai import Breaker, CallError, Reply, ResilientModel, Retry
from resilient_ai.core import events
from resilient_ai.core.failure import FailureKind
from resilient_ai.models import canned
from resilient_ai.runtime import observers
from resilient_ai.testing import ManualClock, ScriptedModel, error, ok
from unit.telemetry import story


@pytest.fixture(autouse=True)
def nobody_watches() -> Iterator[None]:
    assert observers.current() == ()
    yield
    for observer in observers.current():
        observers.remove(observer)


def test_nobody_watches_until_somebody_is_added() -> None:
    seen: list[events.Event] = []
    observers.add(seen.append)
    observers.add(seen.append)
    assert len(observers.current()) == 1
    told = story.answered()
    for event in told:
        observers.emit(observers.current(), event)
    assert seen == told
    observers.remove(seen.append)
    observers.remove(seen.append)
    assert observers.current() == ()


def test_observers_are_shown_an_event_in_the_order_they_were_added() -> None:
    order: list[str] = []

    def first(_: events.Event) -> None:
        order.append("first")

    def second(_: events.Event) -> None:
        order.append("second")

    observers.add(first)
    observers.add(second)
    observers.emit(observers.current(), story.answered()[0])
    assert order == ["first", "second"]


def test_an_observer_that_raises_is_reported_once_by_type_and_hides_no_event_from_the_others(
    caplog: pytest.LogCaptureFixture,
) -> None:
    seen: list[events.Event] = []

    def broken_here(_: events.Event) -> None:
        raise ValueError(f"the text holds {story.CANARY}")

    told = story.answered()
    with caplog.at_level(logging.DEBUG, logger="resilient_ai"):
        for event in told:
            observers.emit((broken_here, seen.append), event)
    assert seen == told
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert "broken_here raised ValueError" in record.getMessage()
    assert story.CANARY not in caplog.text
    assert record.exc_info is None
    (count,) = [n for name, n in observers.failures().items() if name.endswith("broken_here")]
    assert count == len(told)


def test_an_observer_object_is_reported_by_the_name_of_its_class(caplog: pytest.LogCaptureFixture) -> None:
    class BrokenObject:
        def __call__(self, _: events.Event) -> None:
            raise KeyError

    observers.emit((BrokenObject(),), story.answered()[0])
    assert "BrokenObject raised KeyError" in caplog.text


def test_a_log_handler_that_raises_breaks_no_call_either() -> None:
    class BrokenHandler(logging.Handler):
        def handle(self, record: logging.LogRecord) -> bool:
            raise OSError("no space left on device")

    def broken_twice_over(_: events.Event) -> None:
        raise ValueError

    handler = BrokenHandler()
    logging.getLogger("resilient_ai").addHandler(handler)
    try:
        observers.emit((broken_twice_over,), story.answered()[0])
    finally:
        logging.getLogger("resilient_ai").removeHandler(handler)
    assert any(name.endswith("broken_twice_over") for name in observers.failures())


def test_ctrl_c_in_an_observer_is_not_swallowed() -> None:
    def interrupted(_: events.Event) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        observers.emit((interrupted,), story.answered()[0])


def test_observers_may_come_and_go_in_eight_threads_while_events_are_shown() -> None:
    told = story.answered()
    barrier = threading.Barrier(8)
    errors: list[BaseException] = []

    def work() -> None:
        def mine(_: events.Event) -> None:
            pass

        barrier.wait()
        try:
            for _ in range(100):
                observers.add(mine)
                for event in told:
                    observers.emit(observers.current(), event)
                observers.remove(mine)
        except BaseException as error:  # noqa: BLE001 - reported by the test
            errors.append(error)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert observers.current() == ()


def test_the_registry_imports_the_standard_library_and_the_vocabulary_only() -> None:
    source = Path(observers.__file__).read_text(encoding="utf-8")
    imported = {
        (node.module or "").split(".")[0] if isinstance(node, ast.ImportFrom) else alias.name.split(".")[0]
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }
    assert imported - {"resilient_ai"} <= sys.stdlib_module_names
    assert "resilient_ai.telemetry" not in source


def test_an_event_that_arises_while_another_is_shown_waits_until_that_one_was_shown() -> None:
    """As when the collector ends a dropped stream inside an observer that holds a lock which is not re-entrant."""
    lock = threading.Lock()
    first, second, third = story.answered()[:3]
    order: list[tuple[str, events.Event]] = []

    def locking(event: events.Event) -> None:
        assert lock.acquire(blocking=False), "a thread would wait for itself"
        try:
            order.append(("locking", event))
            if event is first:
                observers.emit((locking, other), second)
                observers.emit((locking, other), third)
        finally:
            lock.release()

    def other(event: events.Event) -> None:
        order.append(("other", event))

    observers.emit((locking, other), first)
    assert order == [(who, event) for event in (first, second, third) for who in ("locking", "other")]


def test_a_stream_the_collector_drops_inside_an_observer_is_told_behind_the_event_that_is_shown() -> None:
    told: list[tuple[str, int]] = []
    inside = False

    def collecting(event: events.Event) -> None:
        nonlocal inside
        assert not inside, "an event was shown in the middle of another"
        inside = True
        told.append((type(event).__name__, getattr(event, "call", 0)))
        if isinstance(event, events.CallStarted) and len(told) > 1:
            gc.collect()
        inside = False

    chain = ResilientModel([ScriptedModel([ok("one two three"), ok()])], observers=[collecting])

    def drop() -> int:
        stream = chain.stream("x")
        next(stream)
        ring: list[object] = [stream]
        ring.append(ring)  # only the collector finds it
        return told[0][1]

    gc.disable()
    try:
        dropped = drop()
        chain.generate("y")
    finally:
        gc.enable()
    started = [call for name, call in told if name == "CallStarted"]
    assert started[0] == dropped
    assert ("CallFinished", dropped) in told[told.index(("CallStarted", started[1])) :]
    assert [call for name, call in told if name == "CallFinished"] == [dropped, started[1]]


@pytest.mark.parametrize("watched", [False, True])
def test_with_nobody_watching_no_event_is_built_on_any_path(
    monkeypatch: pytest.MonkeyPatch,
    *,
    watched: bool,
) -> None:
    built: list[object] = []

    class Counted:
        """Stands for every class of events."""

        def __init__(self, *_: object, **__: object) -> None:
            built.append(self)

    for one in vars(events).values():
        if isinstance(one, type) and one.__module__ == events.__name__ and one is not FailureKind:
            monkeypatch.setattr(events, one.__name__, Counted)

    def nothing(_: object) -> None:
        pass

    def sense(reply: Reply) -> bool:
        return reply.text == "sense"

    def chain(*models: Any, **policies: Any) -> ResilientModel:
        told = (nothing,) if watched else ()
        quick = Retry(2, base=0, cap=0)
        return ResilientModel(list(models), observers=told, retry=quick, clock=ManualClock(), **policies)

    chain(ScriptedModel([ok()])).generate("x")
    chain(ScriptedModel([error(503), ok()])).generate("x")
    chain(ScriptedModel([error(503)] * 2), canned("y"), breaker=Breaker(consecutive=1)).generate("x")
    chain(ScriptedModel([ok("nonsense"), ok("sense")]), checks=[sense]).generate("x")
    with chain(ScriptedModel([ok("one two")])).stream("x") as stream:
        next(stream)
    with pytest.raises(CallError):
        chain(ScriptedModel([error(401)]), ScriptedModel([error(401)], name="b")).generate("x")
    asyncio.run(chain(ScriptedModel([ok()])).agenerate("x"))
    assert (len(built) > 40) if watched else built == []
