from __future__ import annotations

import ast
import logging
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from resilient_ai.core import events
from resilient_ai.runtime import observers
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
