"""The report's page: what came of the run in a sentence, the picture, the figures as tables, and how it was made."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Final, final

from resilient_ai.cli.demo.figures import by_phase, summarise
from resilient_ai.cli.demo.recording import LATE_SECONDS
from resilient_ai.cli.demo.report.chart import chart

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from resilient_ai.cli.demo.figures import PhaseSummary, Run, Summary
    from resilient_ai.cli.demo.recording import Place

_STYLE: Final = Path(__file__).with_name("style.css")

_LEGEND: Final = (
    ('<circle class="dot-remote" cx="7" cy="7" r="4"/>', "answered by the remote model"),
    ('<path class="dot-device" d="M7 1l6 6l-6 6l-6-6z"/>', "answered on this device"),
    ('<path class="dot-failed" d="M2 2l10 10m0-10l-10 10"/>', "failed"),
    ('<rect class="bar-failed" width="14" height="14"/>', "request to the remote model that failed"),
    ('<path class="arrivals" d="M0 7H14"/>', "calls that arrived"),
    ('<rect class="state closed" width="14" height="14"/>', "breaker closed"),
    ('<rect class="state open" width="14" height="14"/>', "breaker open"),
    ('<rect class="state half-open" width="14" height="14"/>', "breaker half-open, one probe at a time"),
    ('<rect class="held" width="14" height="14"/>', "left alone, as Retry-After asked"),
)


@final
@dataclass(frozen=True, slots=True)
class Environment:
    """Where and how a run was made. `command` repeats it; `facts` are shown as they are, in order."""

    command: str
    facts: Mapping[str, str]


def page(run: Run, environment: Environment) -> str:
    """The report of `run` as one HTML document. It loads nothing: no script, no font, no image."""
    summary = summarise(run)
    body = "\n".join(
        [
            _opening(run, summary),
            _tiles(run, summary),
            _picture(run),
            _phases(run),
            _breaker(run),
            _agreement(run),
            _policy(run),
            _environment(environment),
        ]
    )
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        "<title>resilient-ai demo: the report</title>\n"
        f"<style>\n{_STYLE.read_text(encoding='utf-8')}</style>\n</head>\n<body>\n<main>\n{body}\n</main>\n</body>\n</html>\n"
    )


def _opening(run: Run, summary: Summary) -> str:
    what = (
        f"In {run.seconds:.0f} seconds the provider went through these phases: {_listed([phase.name for phase in run.phases])}."
        if run.scripted
        else f"{escape(run.remote)} was asked as it is, without a script."
    )
    late = "none of them late" if not summary.late else f"{summary.late} late"
    failed = "None failed" if not summary.failed else f"{summary.failed} failed, {_how_typed(run, summary)}"
    return (
        f"<header><p class='kicker'>resilient-ai demo</p><h1>{summary.answered} of {summary.calls} calls answered, "
        f"{late}</h1><p class='lead'>{what} {failed}; the model on this device gave {summary.degraded} of the answers. "
        f"Every call had one deadline of {run.deadline:g} s over all attempts, pauses and models.</p></header>"
    )


def _how_typed(run: Run, summary: Summary) -> str:
    if not run.untyped:
        return "with a typed error" if summary.failed == 1 else "each with a typed error"
    return f"{len(run.untyped)} of them with an error that is not the library's: {_listed(sorted(set(run.untyped)))}"


def _tiles(run: Run, summary: Summary) -> str:
    tiles = [
        ("answered", f"{summary.answered}", f"of {summary.calls} calls"),
        ("late", f"{summary.late}", f"beyond {run.deadline:g} s + {LATE_SECONDS:g} s"),
        ("median", _seconds(summary.p50), "of all calls"),
        ("p95", _seconds(summary.p95), f"p99 {_seconds(summary.p99)}"),
        ("longest", _seconds(summary.longest), f"deadline {run.deadline:g} s"),
        ("requests", f"{summary.attempts_per_call:.2f}", "sent for each call"),
    ]
    return (
        "<dl class='tiles'>"
        + "".join(
            f"<div><dt>{name}</dt><dd>{value}<small>{note}</small></dd></div>" for name, value, note in tiles
        )
        + "</dl>"
    )


def _picture(run: Run) -> str:
    legend = "".join(
        f'<li><svg viewBox="0 0 14 14" aria-hidden="true">{sign}</svg>{name}</li>' for sign, name in _LEGEND
    )
    return (
        f"<section><h2>The run over time</h2><ul class='legend'>{legend}</ul><div class='scroll'>{chart(run)}</div>"
        "<p class='note'>A mark stands where its call began. Rest the pointer on a mark, a band or a state to read it.</p></section>"
    )


def _phases(run: Run) -> str:
    rows = [
        [
            f"<th scope='row'>{escape(row.phase.name)}<small>{escape(row.phase.title)}</small></th>",
            _number(row.calls),
            _number(row.remote),
            _number(row.on_device),
            _number(row.failed),
            _number(f"{row.attempts / row.calls:.2f}" if row.calls else "-"),
            _number(_seconds(row.p50)),
            _number(_seconds(row.p95)),
            _number(_seconds(row.longest)),
            f"<td>{_why(row)}</td>",
        ]
        for row in by_phase(run)
    ]
    heads = [
        "calls begun in", "calls", "remote", "on device", "failed", "requests a call", "p50", "p95", "longest",
        "why requests failed and models were passed over",
    ]  # fmt: skip
    return f"<section><h2>By phase of the provider</h2>{_table(heads, rows)}</section>"


def _why(row: PhaseSummary) -> str:
    return (
        ", ".join(f"{count} {escape(reason.replace('_', ' '))}" for reason, count in row.why.items()) or "-"
    )


def _breaker(run: Run) -> str:
    rows = [
        [
            _number(f"{row.at:.2f} s"),
            f"<td>{escape(row.asked)}</td>",
            f"<td><span class='chip {row.old}'>{row.old}</span> → <span class='chip {row.new}'>{row.new}</span></td>",
            f"<td>{escape(row.reason.replace('_', ' '))}</td>",
            _number("-" if row.open_for is None else f"{row.open_for:.2f} s"),
        ]
        for row in run.breaker
    ]
    if not rows:
        return "<section><h2>Breaker</h2><p>It stayed closed.</p></section>"
    first, last = run.breaker[0], run.breaker[-1]
    return (
        f"<section><h2>Breaker</h2><details><summary>{len(rows)} changes of state, the first at {first.at:.1f} s, "
        f"the last at {last.at:.1f} s to {last.new}</summary>"
        f"{_table(['at', 'model', 'change', 'because of', 'break'], rows)}</details></section>"
    )


def _agreement(run: Run) -> str:
    rows = [_agreed(run, "remote", run.remote), _agreed(run, "on-device", run.device)]
    looked_up = (
        " The scripted provider looks its answers up in the file of tickets: its row is not a measurement of any model."
        if run.scripted
        else ""
    )
    return (
        "<section><h2>Answers</h2>"
        + _table(["answered by", "answers", "queue as its author meant", "queue and priority"], rows)
        + "<p class='note'>Tickets are made up, and their authors' labels come with them. Every answer fitted the schema, or it would have"
        f" been a failure.{looked_up}</p></section>"
    )


def _agreed(run: Run, place: Place, label: str) -> list[str]:
    found = run.agreement[place]
    if run.scripted and place == "remote":
        shares = ["<td class='number'>looked up</td>"] * 2
    else:
        shares = [_number(_share(found.queue, found.answers)), _number(_share(found.both, found.answers))]
    return [f"<th scope='row'>{escape(label)}</th>", _number(found.answers), *shares]


def _policy(run: Run) -> str:
    note = (
        "<p class='note'>Times are shortened with the script, so that less than a minute shows what an outage of an hour would. "
        "The library's defaults are longer: a breaker breaks for 15 s to 300 s.</p>"
        if run.scripted
        else ""
    )
    return f"<section><h2>Policy</h2><pre>{escape(run.policy)}</pre>{note}</section>"


def _environment(environment: Environment) -> str:
    facts = "".join(
        f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>"
        for name, value in environment.facts.items()
    )
    return (
        f"<section><h2>How this was made</h2><dl class='facts'><div><dt>again</dt><dd><code>{escape(environment.command)}</code></dd></div>"
        f"{facts}</dl><p class='note'>The seed fixes when calls arrive, how long the provider takes and whom its partial faults meet, in the "
        "order of requests. Real time decides the rest, so two runs differ a little.</p></section>"
    )


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    head = "".join(f"<th scope='col'>{name}</th>" for name in heads)
    body = "".join(f"<tr>{''.join(row)}</tr>" for row in rows)
    return f"<div class='scroll'><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"


def _number(value: object) -> str:
    return f"<td class='number'>{value}</td>"


def _share(part: int, whole: int) -> str:
    return f"{part} ({part / whole:.0%})" if whole else "-"


def _seconds(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value * 1000:.0f} ms" if value < 1 else f"{value:.2f} s"


def _listed(names: Sequence[str]) -> str:
    shown = [escape(name) for name in names]
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}" if shown else "nothing"
