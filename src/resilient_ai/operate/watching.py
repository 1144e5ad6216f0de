"""Alerts on what watches: the redactor, the observers, and the metrics themselves."""

from __future__ import annotations

from typing import Final

from resilient_ai.operate import promql
from resilient_ai.operate.rules import (
    DAY,
    HOUR,
    MINUTE,
    Alert,
    Case,
    Group,
    Terms,
)
from resilient_ai.operate.samples import JOB_OF_CASES, counting, feed
from resilient_ai.telemetry import names

_RARE: Final = 15 * MINUTE
ALWAYS_THERE: Final = names.METRIC_REDACTIONS
"""Counted from the first moment on and without labels: where it is missing, everything is."""


def watching_alerts(terms: Terms) -> Group:
    """The alerts on telemetry itself."""
    return Group(
        "resilient_ai_watching",
        alerts=(_redaction(terms), _observer(terms), _missing(terms)),
    )


def _redaction(terms: Terms) -> Alert:
    return Alert(
        name="ResilientAIRedactionFailing",
        expression=promql.grown(
            names.METRIC_REDACTION_ERRORS, over=terms.span(_RARE), known_for=terms.span(DAY), by=()
        ),
        hold=0,
        severity="ticket",
        labels=(),
        summary="{job}: the redactor fails, values are replaced as a whole",
        means=(
            "The redactor raised on a value. Nothing leaked: a value it fails on is replaced by a constant. But names of models or chains may be "
            "missing from logs, spans and these metrics, and the next thing that fails may be in the redactor's way again."
        ),
        steps=(
            "Look in the logs for the placeholder, and at what changed: a detector of your own, a new version of an optional engine.",
            "Take that detector out of the redactor; the built-in ones are enough to go on with.",
            "Report it with the type of the exception. The value itself is not known, and that is as it should be.",
        ),
        tune="Nothing to tune: it never happens in health.",
        firing=Case(
            "the redactor fails on three values",
            (feed(names.METRIC_REDACTION_ERRORS, counting((0, 20), (3, 1), (0, 10))),),
            25,
            {promql.JOB: JOB_OF_CASES},
        ),
        silent=(
            Case(
                "the redactor finds much and fails on nothing",
                (
                    feed(names.METRIC_REDACTION_ERRORS, counting((0, 40))),
                    feed(names.METRIC_REDACTIONS, counting((50, 40))),
                ),
                25,
            ),
        ),
    )


def _observer(terms: Terms) -> Alert:
    by = (names.OBSERVER,)
    return Alert(
        name="ResilientAIObserverFailing",
        expression=promql.grown(
            names.METRIC_OBSERVER_ERRORS, over=terms.span(_RARE), known_for=terms.span(DAY), by=by
        ),
        hold=0,
        severity="ticket",
        labels=by,
        summary="{job}: {observer} fails, and what it should have written is lost",
        means=(
            "An observer of calls raised: the log, the spans, or one of your own, such as an audit trail. Calls are not touched by it. What it should have "
            "written of them is lost for good: for an audit trail that is a gap in the record."
        ),
        steps=(
            "The logger `resilient_ai` warned once, with the type of the exception. For the log it is a full disk or a closed file nearly always.",
            "Mend what it writes to. It is not switched off: it goes on with the next event.",
            "If the record must be complete, note from when to when it is not: the query below shows it.",
        ),
        ask=(
            (
                "Events lost a second, by observer and process",
                (
                    f"sum by ({promql.JOB}, instance, {promql.label(names.OBSERVER)}) "
                    f"({promql.rate(names.METRIC_OBSERVER_ERRORS, over=promql.span(_RARE))})"
                ),
            ),
        ),
        tune="Make it a page for the observer that writes your audit trail.",
        firing=Case(
            "the audit trail cannot write its first record",
            (feed(names.METRIC_OBSERVER_ERRORS, "_x20 2+0x10", {names.OBSERVER: "shop.audit.Trail"}),),
            25,
            {promql.JOB: JOB_OF_CASES, names.OBSERVER: "shop.audit.Trail"},
        ),
        silent=(
            Case(
                "it failed an hour ago and writes again",
                (
                    feed(
                        names.METRIC_OBSERVER_ERRORS,
                        counting((2, 5), (0, 70)),
                        {names.OBSERVER: "shop.audit.Trail"},
                    ),
                ),
                70,
            ),
        ),
    )


def _missing(terms: Terms) -> Alert:
    there = promql.select(ALWAYS_THERE)
    now = promql.aggregated("group", there, by=())
    before = promql.aggregated("group", f"{there} offset {terms.span(HOUR)}", by=())
    return Alert(
        name="ResilientAITelemetryMissing",
        expression=f"{before}\nunless {now}\nor absent({there})",
        hold=10 * MINUTE,
        severity="ticket",
        labels=(),
        summary="No metrics of resilient_ai from {job}: its alerts cannot fire",
        means=(
            "A job had metrics an hour ago and has none now, or no job has any. While this lasts no other alert here can fire, whatever happens to "
            "the calls. After the hour it falls silent for a job that was removed on purpose."
        ),
        steps=(
            "Is the process up, and is it scraped? `up` is 0 where the scrape fails, and gone where the target is.",
            (
                "Does it switch telemetry on? Metrics begin with `observe(prometheus_port=...)` or a meter provider of yours; "
                "`OTEL_SDK_DISABLED` switches them off. `curl` its port and look for `resilient_ai_`."
            ),
            "`observe()` called a second time with other options closes the first observation, and its port with it.",
            "Metrics pushed through a collector: look at its logs, and at `OTEL_EXPORTER_OTLP_ENDPOINT`.",
        ),
        ask=(("What is scraped of it", f"up * on ({promql.JOB}) group_left () ({before})"),),
        tune="Install the rules only where the library runs: without any job of it this fires, on purpose.",
        firing=Case(
            "a job stops reporting while another goes on",
            (
                feed(ALWAYS_THERE, counting((1, 100))),
                feed(ALWAYS_THERE, "0+1x30 stale", job="desk"),
            ),
            85,
            {promql.JOB: "desk"},
        ),
        silent=(
            Case(
                "one of two processes of a job is restarted elsewhere",
                (
                    feed(ALWAYS_THERE, "0+1x30 stale"),
                    feed(ALWAYS_THERE, "_x30 0+1x60", instance="10.0.0.2:9464"),
                ),
                85,
            ),
        ),
    )
