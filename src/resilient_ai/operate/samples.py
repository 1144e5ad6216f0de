"""Input of the rules' tests: series as the exporter would show them to Prometheus, a sample a minute."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from resilient_ai.operate import promql
from resilient_ai.operate.rules import Feed
from resilient_ai.telemetry import names

JOB_OF_CASES: Final = "shop"
INSTANCE_OF_CASES: Final = "10.0.0.1:9464"


def feed(
    metric: str,
    values: str,
    labels: Mapping[str, str] | None = None,
    *,
    part: promql.Part = "",
    job: str = JOB_OF_CASES,
    instance: str = INSTANCE_OF_CASES,
) -> Feed:
    """A series of `metric` as one process would be scraped for it."""
    matches = [promql.equal(name, value) for name, value in (labels or {}).items()]
    selected = promql.select(metric, *matches, part=part)
    inner = selected[selected.index("{") + 1 : -1]
    scraped = f'job="{job}",instance="{instance}"'
    return Feed(f"{promql.spelled(metric, part)}{{{scraped}{',' if inner else ''}{inner}}}", values)


def counting(*pieces: tuple[float, int]) -> str:
    """A counter that grows by so much a minute, for so many minutes, piece after piece."""
    written: list[str] = ["0"]
    value = 0.0
    for a_minute, minutes in pieces:
        written.append(f"{value + a_minute:.12g}+{a_minute:.12g}x{minutes - 1}")
        value += a_minute * minutes
    return " ".join(written)


def staying(*pieces: tuple[float, int]) -> str:
    """A gauge that stays at a value for so many minutes, piece after piece."""
    return " ".join(f"{value:.12g}+0x{minutes - 1}" for value, minutes in pieces)


MODEL: Final = {names.PROVIDER_NAME: "openai", names.REQUEST_MODEL: "gpt-x"}
MODEL_FIRES: Final = {promql.JOB: JOB_OF_CASES, **MODEL}


def answers(ok: str, degraded: str) -> tuple[Feed, ...]:
    """Answers of a chain by its first model, and by the one behind it."""
    chain = {names.CHAIN: "support", names.OPERATION: "chat"}
    first = {**chain, names.OUTCOME: "ok", names.SERVED_BY: "gpt-x"}
    behind = {**chain, names.OUTCOME: "degraded", names.SERVED_BY: "llama"}
    return (
        feed(names.METRIC_REQUEST_DURATION, ok, first, part="count"),
        feed(names.METRIC_REQUEST_DURATION, degraded, behind, part="count"),
    )


def breaker(is_open: str, half_open: str) -> tuple[Feed, ...]:
    """A breaker that is open, and half open, when these say so."""
    return (
        feed(names.METRIC_BREAKER_STATE, is_open, {**MODEL, names.STATE: "open"}),
        feed(names.METRIC_BREAKER_STATE, half_open, {**MODEL, names.STATE: "half-open"}),
    )


def openings(values: str, instance: str = "10.0.0.1:9464") -> Feed:
    """How often the breaker of one process opened from closed."""
    labels = {**MODEL, names.STATE_OLD: "closed", names.STATE_NEW: "open"}
    return feed(names.METRIC_BREAKER_TRANSITIONS, values, labels, instance=instance)


def turns(values: str) -> tuple[Feed, ...]:
    """Turns at a model."""
    labels = {**MODEL, names.OPERATION_NAME: names.OPERATION_CHAT}
    return (feed(names.METRIC_OPERATION_DURATION, values, labels, part="count"),)


def operator_wanted(kind: str, values: str) -> Feed:
    """Failures of a kind that only an operator can mend."""
    return feed(names.METRIC_ALERTS, values, {**MODEL, names.ERROR_TYPE: kind})


def failing(kind: str, *, outcome: str = "next") -> dict[str, str]:
    """Labels of attempts that failed with `kind`."""
    return {**MODEL, names.OUTCOME: outcome, names.ERROR_TYPE: kind}
