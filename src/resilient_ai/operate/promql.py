"""Our metrics as Prometheus spells them, and PromQL put together from them.

Every metric and label is named by its constant in `telemetry.names`; a label the metric does not have, or a metric that does not
exist, is refused when the query is built. So a renamed metric breaks the generator and never, silently, an alert.

The spelling is that of the OpenTelemetry exporter and of Prometheus's own OTLP receiver alike: dots become underscores, `s`
becomes `_seconds`, a unit in braces and `1` are dropped, a counter ends in `_total`.
Source: OpenTelemetry specification, compatibility/prometheus_and_openmetrics.md.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias, final

from resilient_ai.telemetry import names

Part: TypeAlias = Literal["", "bucket", "count", "sum"]
"""Which series of a histogram is meant; the empty part for every other instrument."""

JOB: Final = "job"
"""Prometheus's own label of what was scraped. Every alert keeps it: two applications have two error budgets."""

_UNITS: Final[Mapping[str, str]] = {"s": "_seconds", "1": "", "": ""}
_ROWS: Final[Mapping[str, names.MetricRow]] = {row.name: row for row in names.METRICS}
_LABELS: Final = frozenset(label for row in names.METRICS for label in row.labels)
_UNITS_OF_TIME: Final = (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1))


@final
@dataclass(frozen=True, slots=True)
class Match:
    """A condition on a label. `sign` is one of `=`, `!=`, `=~`, `!~`."""

    label: str
    sign: str
    value: str


def equal(label: str, value: str) -> Match:
    """The label is `value`."""
    return Match(label, "=", value)


def known(label: str) -> Match:
    """The label is there."""
    return Match(label, "!=", "")


def among(label: str, values: Iterable[str]) -> Match:
    """The label is one of `values`."""
    return Match(label, "=~", "|".join(values))


def outside(label: str, values: Iterable[str]) -> Match:
    """The label is none of `values`, or not there."""
    return Match(label, "!~", "|".join(values))


def spelled(metric: str, part: Part = "") -> str:
    """The name of `metric` in Prometheus.

    Raises:
        ValueError: There is no such metric, or it has no such part.
    """
    row = _ROWS.get(metric)
    if row is None:
        raise ValueError(f"no metric of ours is called {metric!r}")
    if (row.instrument == "histogram") != bool(part):
        raise ValueError(f"{metric} is a {row.instrument} and has no part {part!r}")
    unit = "" if row.unit.startswith("{") else _UNITS[row.unit]
    suffix = "_total" if row.instrument == "counter" else f"_{part}" if part else ""
    return f"{underscored(metric)}{unit}{suffix}"


def label(name: str) -> str:
    """The label `name` in Prometheus.

    Raises:
        ValueError: No metric of ours has it.
    """
    if name in (JOB, "le"):
        return name
    if name not in _LABELS:
        raise ValueError(f"no metric of ours has the label {name!r}")
    return underscored(name)


def underscored(name: str) -> str:
    """`name` with everything Prometheus does not allow in one replaced."""
    return re.sub(r"[^a-zA-Z0-9]+", "_", name)


def select(metric: str, *matches: Match, part: Part = "", over: str = "", job: str = "") -> str:
    """The series of `metric` that meet all `matches`.

    Args:
        metric: The metric's constant in `names`.
        matches: Conditions on labels the metric has.
        part: Which series of a histogram.
        over: A range (`5m`) to take them over.
        job: A regular expression for the job; every job if empty.

    Raises:
        ValueError: The metric does not exist, or has none of such labels.
    """
    name = spelled(metric, part)
    for match in matches:
        if match.label not in _ROWS[metric].labels:
            raise ValueError(f"{metric} has no label {match.label!r}")
    conditions = [f"{label(match.label)}{match.sign}{json.dumps(match.value)}" for match in matches]
    if job:
        conditions.insert(0, f"{JOB}=~{json.dumps(job)}")
    return f"{name}{{{','.join(conditions)}}}{f'[{over}]' if over else ''}"


def rate(metric: str, *matches: Match, over: str, part: Part = "", job: str = "") -> str:
    """Growth a second of each series of `metric`, as `select` takes them."""
    return f"rate({select(metric, *matches, part=part, over=over, job=job)})"


def increase(metric: str, *matches: Match, over: str, part: Part = "") -> str:
    """Growth of each series of `metric`, as `select` takes them."""
    return f"increase({select(metric, *matches, part=part, over=over)})"


def grown(metric: str, *matches: Match, over: str, known_for: str, by: Iterable[str]) -> str:
    """The sums `by` labels that are larger than they were `over` ago, for counters of rare things.

    A counter that appears with its first count has not increased for `increase`, which needs two samples: the one failure
    that matters would be missed. So a series that is new counts as well. It is not new if it was there at any time in the
    `known_for` before: a Prometheus that was away for an hour must not tell old failures as news.
    Source: https://prometheus.io/docs/practices/instrumentation/#avoid-missing-metrics.
    """
    now = select(metric, *matches)
    kept = tuple(by)
    return (
        f"{summed(increase(metric, *matches, over=over), by=kept)} > 0\n"
        f"or\n{summed(f'{now} unless last_over_time({now}[{known_for}] offset {over})', by=kept)} > 0"
    )


def summed(expression: str, *, by: Iterable[str]) -> str:
    """The sum of `expression` by its job and labels of ours."""
    return aggregated("sum", expression, by=by)


def aggregated(how: str, expression: str, *, by: Iterable[str], job: bool = True) -> str:
    """`expression` aggregated `how` (`sum`, `max`, ...) by labels of ours, and by its job."""
    kept = [label(name) for name in by]
    if job:
        kept.insert(0, JOB)
    return f"{how} by ({', '.join(kept)}) ({expression})"


def quantile(share: float, expression: str, *, by: Iterable[str], job: bool = True) -> str:
    """The quantile of a histogram whose buckets grow by `expression`."""
    return f"histogram_quantile({share:g}, {aggregated('sum', expression, by=(*by, 'le'), job=job)})"


def span(seconds: float, *, pace: float = 1.0) -> str:
    """A duration as PromQL writes it, in the largest unit it is whole in. `pace` shortens or lengthens it; never below 1 ms."""
    left = max(1, round(seconds * 1000 * pace))
    for unit, size in _UNITS_OF_TIME:
        if left % size == 0:
            return f"{left // size}{unit}"
    raise AssertionError("every number of milliseconds is whole in milliseconds")
