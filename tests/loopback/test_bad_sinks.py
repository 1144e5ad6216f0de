"""What is wrong with whoever watches, or with what is watched, changes no call."""

from __future__ import annotations

import asyncio
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import (
    BatchSpanProcessor,
    SimpleSpanProcessor,
    SpanExporter,
    SpanExportResult,
)

from resilient_ai import Breaker, Reply, ResilientError, ResilientModel, Retry
from resilient_ai.models import OpenAIModel
from resilient_ai.runtime import observers
from resilient_ai.telemetry import observe
from resilient_ai.testing import FaultServer
from watching import watched

WAYS = ["generate", "agenerate", "stream", "astream"]


@pytest.fixture(scope="module")
def server() -> Iterator[FaultServer]:
    with FaultServer() as running:
        yield running


def ask(server: FaultServer, way: str, messages: Any = "question", **options: Any) -> Reply | ResilientError:
    """The answer, or what a caller meets of this library's own."""
    chain = ResilientModel(
        OpenAIModel("gpt-x", server.url(), "sk-none"),
        retry=Retry(1),
        breaker=Breaker(enabled=False),
        deadline=20.0,
    )

    async def main() -> Reply:
        async with chain:
            if way == "agenerate":
                return await chain.agenerate(messages, **options)
            async with chain.astream(messages, **options) as stream:
                return await stream.reply()

    try:
        if way == "generate":
            return chain.generate(messages, **options)
        if way == "stream":
            with chain.stream(messages, **options) as stream:
                return stream.reply()
        return asyncio.run(main())
    except ResilientError as error:
        return error
    finally:
        chain.close()


def told(ending: Reply | ResilientError) -> tuple[object, ...]:
    """What two endings must have in common to be the same."""
    if isinstance(ending, Reply):
        return ending.text, ending.finish_reason, ending.usage, ending.flags
    return type(ending), str(ending).partition("after")[0]


class SelfRaising:
    """Fails whoever looks at it."""

    def __repr__(self) -> NoReturn:
        raise RuntimeError("looked at")

    __str__ = __repr__

    def __len__(self) -> NoReturn:
        raise RuntimeError("looked at")


class SelfRaisingMapping(Mapping[str, object]):
    """A mapping that fails when it is read."""

    def __getitem__(self, key: str) -> NoReturn:
        raise RuntimeError("looked at")

    def __iter__(self) -> NoReturn:
        raise RuntimeError("looked at")

    def __len__(self) -> int:
        return 1


def cyclic() -> dict[str, object]:
    ring: dict[str, object] = {}
    ring["ring"] = ring
    return ring


def deep() -> list[object]:
    well: list[object] = []
    for _ in range(100_000):
        well = [well]
    return well


ODD_QUESTIONS: dict[str, Any] = {
    "lone surrogates": "a \ud800 b \udfff",
    "NUL": "a \x00 b",
    "ten megabytes": "x" * 10_000_000,
    "ten megabytes of what looks like personal data": "a@b." * 2_500_000,
    "control characters": "\x1b[31m \r\n \u2028 \u202e",
}
ODD_EXTRAS: dict[str, Any] = {
    "cyclic": cyclic,
    "self-raising": SelfRaising,
    "self-raising mapping": SelfRaisingMapping,
    "deep": deep,
    "bytes": lambda: b"\xff\xfe",
    "infinite": lambda: float("inf"),
    "surrogates": lambda: "\ud800",
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("what", ODD_QUESTIONS)
def test_an_odd_question_ends_the_same_whether_it_is_watched_or_not(
    server: FaultServer, what: str, way: str, tmp_path: Path
) -> None:
    alone = ask(server, way, ODD_QUESTIONS[what])
    with watched(tmp_path) as seen:
        watched_over = ask(server, way, ODD_QUESTIONS[what])
    assert isinstance(alone, Reply)
    assert told(alone) == told(watched_over)
    assert len(seen.texts["the log file"]) < 10_000


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("what", ODD_EXTRAS)
def test_an_odd_parameter_ends_the_same_whether_it_is_watched_or_not(
    server: FaultServer, what: str, way: str, tmp_path: Path
) -> None:
    alone = ask(server, way, odd=ODD_EXTRAS[what]())
    with watched(tmp_path):
        watched_over = ask(server, way, odd=ODD_EXTRAS[what]())
    assert told(alone) == told(watched_over)
    if isinstance(alone, ResilientError):
        assert "looked at" not in str(alone)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="the system has no full device")  # noqa: PTH110 - not a file
@pytest.mark.parametrize("way", WAYS)
def test_a_full_disk_under_the_log_is_counted_and_reported_once(
    server: FaultServer, way: str, caplog: pytest.LogCaptureFixture
) -> None:
    before = sum(observers.failures().values())
    alone = ask(server, way)
    with (
        caplog.at_level(logging.WARNING, "resilient_ai"),
        observe(log_file="/dev/full", span_file="/dev/full"),
    ):
        assert told(ask(server, way)) == told(alone)
        assert told(ask(server, way)) == told(alone)
        assert sum(observers.failures().values()) == before + 2
    assert sum("Log raised" in message for message in caplog.messages) <= 1
    assert sum("spans cannot be written" in message for message in caplog.messages) == 1


class Raising(SpanExporter):
    """An exporter that fails."""

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        raise RuntimeError("no collector")


class Hanging(SpanExporter):
    """An exporter that does not come back."""

    def __init__(self) -> None:
        self.leave = threading.Event()

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.leave.wait()
        return SpanExportResult.FAILURE


@pytest.mark.parametrize("way", WAYS)
def test_an_exporter_that_raises_changes_no_call(
    server: FaultServer, way: str, caplog: pytest.LogCaptureFixture
) -> None:
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(Raising()))
    with observe(logs=None, tracer_provider=provider):
        assert isinstance(ask(server, way), Reply)
    provider.shutdown()


@pytest.mark.parametrize("way", WAYS)
def test_an_exporter_that_hangs_changes_no_call(server: FaultServer, way: str) -> None:
    exporter = Hanging()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(
        BatchSpanProcessor(exporter, max_export_batch_size=1, schedule_delay_millis=1)
    )
    with observe(logs=None, tracer_provider=provider):
        for _ in range(3):
            assert isinstance(ask(server, way), Reply)
    exporter.leave.set()
    provider.shutdown()


WITHOUT_STDERR = """
import sys
from resilient_ai import ResilientModel, observe
from resilient_ai.models import canned
from resilient_ai.runtime import observers
chain = ResilientModel([canned("answer")])
if sys.argv[1] == "closed later":
    observe()
    sys.stderr.close()
else:
    assert sys.stderr is None
    observe()
print(chain.generate("question").text)
print(sum(observers.failures().values()))
"""


@pytest.mark.skipif(os.name != "posix", reason="no shell here starts a process without a standard error")
@pytest.mark.parametrize(("how", "failed"), [("never there", "0"), ("closed later", "1")])
def test_a_standard_error_that_is_closed_changes_no_call_and_is_not_replaced_by_standard_output(
    how: str, failed: str
) -> None:
    shell = '"$0" -c "$1" "$2"' + (" 2>&-" if how == "never there" else " 2>/dev/null")
    done = subprocess.run(
        ["/bin/sh", "-c", shell, sys.executable, WITHOUT_STDERR, how],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0
    assert done.stdout.split() == ["answer", failed]
