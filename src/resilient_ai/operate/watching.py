"""Alerts on what watches: the redactor, the audit trail, the observers, and the metrics themselves."""

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
        alerts=(_redaction(terms), _audit(terms), _observer(terms), _missing(terms)),
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


def _audit(terms: Terms) -> Alert:
    written = promql.rate(names.METRIC_AUDIT_RECORDS, over=promql.span(_RARE))
    lost = promql.rate(names.METRIC_AUDIT_ERRORS, over=promql.span(_RARE))
    return Alert(
        name="ResilientAIAuditFailing",
        expression=promql.grown(
            names.METRIC_AUDIT_ERRORS, over=terms.span(_RARE), known_for=terms.span(DAY), by=()
        ),
        hold=0,
        severity="page",
        labels=(),
        summary="{job}: the audit trail cannot be written, calls are made without a record",
        means=(
            "Records of calls do not reach the file they belong in. Calls are not touched by it, which is why somebody has to be: from now on they are "
            "made without a record, and what is lost is not written later. The next record that reaches the file says how many are missing."
        ),
        steps=(
            (
                "Read the one warning of the logger `resilient_ai`: it names the error. `ENOSPC` is a full disk, `EACCES` and `ENOENT` are what somebody did "
                "to the folder, `EAGAIN` is another process that holds the file and does not go on."
            ),
            "Make room, or put the folder back. Nothing has to be restarted: the file is opened again with the next record.",
            "If calls without a record are not allowed at all, stop the service until it writes again; the library never does that by itself.",
            "Note from when to when records are missing (queries below), and verify what there is: `resilient-ai audit verify FILE`.",
        ),
        ask=(
            ("Records lost a second, by process", f"sum by ({promql.JOB}, instance) ({lost})"),
            ("Records written a second, by process", f"sum by ({promql.JOB}, instance) ({written})"),
        ),
        tune="Make it a ticket where the trail is kept for convenience and nobody has to account for a gap in it.",
        firing=Case(
            "a disk is full: the first record that is lost is news",
            (
                feed(names.METRIC_AUDIT_RECORDS, counting((60, 20), (0, 10))),
                feed(names.METRIC_AUDIT_ERRORS, counting((0, 20), (60, 10))),
            ),
            21,
            {promql.JOB: JOB_OF_CASES},
        ),
        silent=(
            Case(
                "every record is written",
                (
                    feed(names.METRIC_AUDIT_RECORDS, counting((60, 40))),
                    feed(names.METRIC_AUDIT_ERRORS, counting((0, 40))),
                ),
                30,
            ),
            Case(
                "records were lost an hour ago, and are written again",
                (
                    feed(names.METRIC_AUDIT_RECORDS, counting((0, 5), (60, 70))),
                    feed(names.METRIC_AUDIT_ERRORS, counting((60, 5), (0, 70))),
                ),
                70,
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
            "An observer of calls raised: the log, the spans, or one of your own. Calls are not touched by it. What it should have written of them is "
            "lost for good. The audit trail has an alert of its own."
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
        tune="Make it a page for an observer of yours that must not miss anything.",
        firing=Case(
            "an observer of the application's fails on its first call",
            (feed(names.METRIC_OBSERVER_ERRORS, "_x20 2+0x10", {names.OBSERVER: "shop.billing.Meter"}),),
            25,
            {promql.JOB: JOB_OF_CASES, names.OBSERVER: "shop.billing.Meter"},
        ),
        silent=(
            Case(
                "it failed an hour ago and writes again",
                (
                    feed(
                        names.METRIC_OBSERVER_ERRORS,
                        counting((2, 5), (0, 70)),
                        {names.OBSERVER: "shop.billing.Meter"},
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
