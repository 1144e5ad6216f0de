"""The names as they stand in dashboards and alerts of others: a change here is a change for them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from resilient_ai.core.events import ERROR_TYPES
from resilient_ai.core.failure import FailureKind
from resilient_ai.runtime import observers
from resilient_ai.telemetry import names, observe, tables

PAGE = Path(__file__).parents[3] / "docs" / "telemetry.md"


def test_the_schema_is_that_of_the_conventions_the_names_were_taken_from() -> None:
    assert names.SCHEMA_URL == "https://opentelemetry.io/schemas/gen-ai/1.42.0"


def test_the_names_of_metrics_their_units_and_labels_are_pinned() -> None:
    model = (
        "gen_ai.operation.name gen_ai.provider.name gen_ai.request.model gen_ai.response.model"
        " server.address server.port"
    )
    who = "gen_ai.provider.name gen_ai.request.model"
    assert {row.name: (row.instrument, row.unit, " ".join(row.labels)) for row in names.METRICS} == {
        "gen_ai.client.operation.duration": ("histogram", "s", f"{model} error.type"),
        "gen_ai.client.token.usage": ("histogram", "{token}", f"{model} gen_ai.token.type"),
        "gen_ai.client.operation.time_to_first_chunk": ("histogram", "s", model),
        "gen_ai.client.operation.time_per_output_chunk": ("histogram", "s", model),
        "resilient_ai.request.duration": (
            "histogram",
            "s",
            "resilient_ai.chain resilient_ai.operation resilient_ai.outcome resilient_ai.served_by error.type",
        ),
        "resilient_ai.attempts": ("counter", "{attempt}", f"{who} resilient_ai.outcome error.type"),
        "resilient_ai.retry.delay": ("histogram", "s", "gen_ai.provider.name resilient_ai.reason"),
        "resilient_ai.retry.suppressed": ("counter", "{retry}", f"{who} resilient_ai.reason"),
        "resilient_ai.hedge.suppressed": ("counter", "{hedge}", f"{who} resilient_ai.reason"),
        "resilient_ai.fallbacks": (
            "counter",
            "{fallback}",
            "resilient_ai.fallback.from resilient_ai.fallback.to resilient_ai.reason",
        ),
        "resilient_ai.circuit_breaker.state": ("gauge", "", f"{who} resilient_ai.circuit_breaker.state"),
        "resilient_ai.circuit_breaker.transitions": (
            "counter",
            "{transition}",
            f"{who} resilient_ai.circuit_breaker.from resilient_ai.circuit_breaker.to",
        ),
        "resilient_ai.circuit_breaker.rejections": ("counter", "{rejection}", who),
        "resilient_ai.throttle.rejections": ("counter", "{rejection}", who),
        "resilient_ai.requests.active": ("up-down counter", "{request}", "resilient_ai.chain"),
        "resilient_ai.validations": (
            "counter",
            "{validation}",
            "resilient_ai.validation.name resilient_ai.validation.result resilient_ai.validation.action",
        ),
        "resilient_ai.alerts": ("counter", "{alert}", f"{who} error.type"),
        "resilient_ai.cost": ("counter", "1", f"{who} resilient_ai.currency"),
        "resilient_ai.redactions": ("counter", "{value}", ""),
        "resilient_ai.redaction.errors": ("counter", "{error}", ""),
        "resilient_ai.observer.errors": ("counter", "{error}", "resilient_ai.observer"),
        "resilient_ai.audit.records": ("counter", "{record}", ""),
        "resilient_ai.audit.errors": ("counter", "{error}", ""),
    }


def test_the_names_of_log_events_are_pinned() -> None:
    assert [row.event for row in names.LOG_EVENTS] == [
        "call.finished",
        "attempt.failed",
        "fallback.used",
        "breaker.changed",
        "budget.exhausted",
        "alert.raised",
        "config.loaded",
    ]


def test_error_types_are_the_kinds_of_failure_and_four_more() -> None:
    assert {kind.value for kind in FailureKind} | {
        "deadline_exceeded",
        "circuit_open",
        "budget_exhausted",
        "_OTHER",
    } == ERROR_TYPES
    assert all(names.error_type(value) == value for value in ERROR_TYPES)
    assert names.error_type("TypeError") == names.error_type(None) == "_OTHER"


def test_no_label_is_of_content_or_of_a_person() -> None:
    words = {"prompt", "message", "messages", "content", "user", "text", "input", "output"}
    labels = {label for row in names.METRICS for label in row.labels}
    assert not [label for label in labels if words & set(label.replace("_", ".").split("."))]


def test_the_page_is_in_step_with_the_names() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert tables.in_step(page) == page, "python -m resilient_ai.telemetry.tables docs/telemetry.md"


def test_a_page_without_a_place_for_a_table_is_refused() -> None:
    with pytest.raises(ValueError, match="no place for the table 'spans'"):
        tables.in_step("# Telemetry\n")


SNIPPETS = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)


@pytest.mark.parametrize("snippet", SNIPPETS)
def test_the_snippets_of_the_page_run(snippet: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names_in_it: dict[str, object] = {}
    try:
        exec(snippet, names_in_it)  # noqa: S102 - a page of ours
    finally:
        observe().close()
    assert observers.current() == ()
