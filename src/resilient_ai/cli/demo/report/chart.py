"""The picture of a run as SVG: five panels over one axis of time, on bands that name the provider's phases.

Colours are classes that the page's style sheet gives a light and a dark form. Nothing is told by colour alone: who answered is also
a shape, a breaker's state is also a word.
"""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Final, final

from resilient_ai.cli.demo.report.scale import Linear, Log, decades, per_bin, ticks

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from resilient_ai.cli.demo.figures import Run
    from resilient_ai.cli.demo.recording import BreakerRow, CallRow, Sample

WIDTH: Final = 1160
LEFT: Final = 84
RIGHT: Final = 1150
HEAD: Final = 30
LATENCY: Final = (HEAD + 30, 346)
BREAKER: Final = (382, 408)
RATE: Final = (444, 554)
FLIGHT: Final = (590, 650)
BUDGET: Final = (686, 736)
HEIGHT: Final = 766

FASTEST_SECONDS: Final = 0.003
"""The lower end of the latency axis: the model on the device answers a ticket in 4 ms on an idle machine."""
CHARACTER: Final = 7.0
"""Width of a character of the labels, about."""

_NAMES: Final = {"remote": "the remote model", "on-device": "this device", None: "nobody"}


def chart(run: Run) -> str:
    """The picture of `run`."""
    return "\n".join(_Chart(run).parts())


@final
class _Chart:
    def __init__(self, run: Run) -> None:
        self._run = run
        self._seconds = max(run.seconds, 0.1)
        self._x = Linear(0.0, self._seconds, LEFT, RIGHT)

    def parts(self) -> Iterator[str]:
        run = self._run
        yield (
            f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-labelledby="chart-title chart-text">'
            '<title id="chart-title">The run over time</title>'
            f'<desc id="chart-text">Latency of {len(run.calls)} calls by who answered, the state of the breaker, requests sent a second, '
            "calls in flight and the retry budget, over the phases of the provider. The tables below hold the same figures.</desc>"
        )
        yield (
            '<defs><pattern id="hatch" width="5" height="5" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">'
            '<rect class="hatch-ground" width="5" height="5"/><path class="hatch-line" d="M0 0V5"/></pattern>'
            '<pattern id="wait" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">'
            '<rect class="wait-ground" width="6" height="6"/><path class="wait-line" d="M0 0V6"/></pattern></defs>'
        )
        yield from self._phases()
        yield from self._latency()
        yield from self._breaker()
        yield from self._rate()
        yield from self._flight()
        yield from self._budget()
        yield from self._time_axis()
        yield "</svg>"

    # --- the ground ---------------------------------------------------------------------------------------------------

    def _phases(self) -> Iterator[str]:
        bottom = BUDGET[1]
        for number, phase in enumerate(self._run.phases):
            left = self._x(phase.at)
            width = self._x(self._seconds if phase.end is None else phase.end) - left
            yield (
                f"<g><title>{escape(phase.name)}: {escape(phase.title)}</title>"
                f'<rect class="band band-{number % 2}" x="{left:.1f}" y="0" width="{width:.1f}" height="{bottom}"/>'
                f'<text class="phase" x="{left + 8:.1f}" y="20">{escape(_fitting(phase.name, width - 12))}</text></g>'
            )

    def _panel(
        self, place: tuple[int, int], name: str, scale: Linear | Log, marks: Sequence[tuple[float, str]]
    ) -> Iterator[str]:
        top, bottom = place
        yield f'<text class="panel" x="{LEFT}" y="{top - 8}">{escape(name)}</text>'
        for value, label in marks:
            y = scale(value)
            yield f'<path class="grid" d="M{LEFT} {y:.1f}H{RIGHT}"/><text class="tick end" x="{LEFT - 8}" y="{y + 4:.1f}">{label}</text>'
        yield f'<path class="axis" d="M{LEFT} {bottom}H{RIGHT}"/>'

    def _time_axis(self) -> Iterator[str]:
        bottom = BUDGET[1]
        for second in ticks(self._seconds, 12):
            x = self._x(second)
            yield (
                f'<path class="axis" d="M{x:.1f} {bottom}v5"/>'
                f'<text class="tick middle" x="{x:.1f}" y="{bottom + 20}">{second:g} s</text>'
            )

    # --- the panels ---------------------------------------------------------------------------------------------------

    def _latency(self) -> Iterator[str]:
        top, bottom = LATENCY
        longest = max([self._run.deadline, *(call.seconds for call in self._run.calls)])
        y = Log(FASTEST_SECONDS, longest * 1.3, bottom, top)
        marks = [(mark, _duration(mark)) for mark in decades(FASTEST_SECONDS, longest * 1.3)]
        yield from self._panel(LATENCY, "latency of each call, from its beginning to its answer", y, marks)
        line = y(self._run.deadline)
        yield (
            f'<path class="deadline" d="M{LEFT} {line:.1f}H{RIGHT}"/>'
            f'<text class="deadline-label" x="{RIGHT - 6}" y="{line - 6:.1f}">deadline {self._run.deadline:g} s</text>'
        )
        for call in sorted(self._run.calls, key=lambda row: row.at):
            yield _mark(call, self._x(call.at), y(call.seconds))

    def _breaker(self) -> Iterator[str]:
        top, bottom = BREAKER
        yield (
            f'<text class="panel" x="{LEFT}" y="{top - 8}">breaker of the remote model, and the waits its 429s asked for</text>'
        )
        for state, start, end, why in _stretches(self._run.breaker, self._seconds):
            left, right = self._x(start), self._x(end)
            label = _fitting(state, right - left - 8)
            yield (
                f"<g><title>{state} for {end - start:.2f} s from {start:.2f} s{escape(why)}</title>"
                f'<rect class="state {state}" x="{left:.1f}" y="{top}" width="{max(1.0, right - left):.1f}" height="{bottom - top}"/>'
                + (
                    f'<text class="state-label {state}" x="{left + 5:.1f}" y="{top + 17}">{label}</text>'
                    if len(label) > 2
                    else ""
                )
                + "</g>"
            )

        for start, end in held(self._run.samples):
            left, right = self._x(start), self._x(end)
            yield (
                f"<g><title>left alone for {end - start:.1f} s from {start:.1f} s, as Retry-After asked</title>"
                f'<rect class="held" x="{left:.1f}" y="{top}" width="{right - left:.1f}" height="{bottom - top}"/></g>'
            )

    def _rate(self) -> Iterator[str]:
        top, bottom = RATE
        width = 0.5 if self._seconds <= 60 else self._seconds / 120
        attempts = self._run.attempts
        stacks = [
            ("bar-remote", [row.at for row in attempts if row.asked == "remote" and row.kind is None]),
            ("bar-failed", [row.at for row in attempts if row.asked == "remote" and row.kind is not None]),
            ("bar-device", [row.at for row in attempts if row.asked == "on-device"]),
        ]
        counts = [(name, per_bin(instants, width, self._seconds)) for name, instants in stacks]
        calls = per_bin([call.at for call in self._run.calls], width, self._seconds)
        totals = [sum(column) for column in zip(*(bins for _, bins in counts), strict=True)]
        most = max([1, *totals, *calls]) / width
        y = Linear(0.0, most, bottom, top)
        marks = [(mark, f"{mark:g}") for mark in ticks(most, 4)]
        yield from self._panel(RATE, "requests sent a second (bars), and calls that arrived (line)", y, marks)
        for index in range(len(totals)):
            base = 0.0
            left, right = self._x(index * width) + 1, self._x((index + 1) * width) - 1
            for name, bins in counts:
                if not bins[index]:
                    continue
                low, high = y(base / width), y((base + bins[index]) / width)
                base += bins[index]
                yield f'<rect class="{name}" x="{left:.1f}" y="{high:.1f}" width="{max(0.5, right - left):.1f}" height="{low - high:.1f}"/>'
        steps = "".join(
            f"{'M' if not index else 'L'}{self._x(index * width):.1f} {y(count / width):.1f}H{self._x((index + 1) * width):.1f}"
            for index, count in enumerate(calls)
        )
        yield f'<path class="arrivals" d="{steps}"/>'

    def _flight(self) -> Iterator[str]:
        top, bottom = FLIGHT
        edges = sorted(
            [(call.at, 1) for call in self._run.calls] + [(call.ended, -1) for call in self._run.calls]
        )
        levels: list[tuple[float, int]] = [(0.0, 0)]
        for at, change in edges:
            levels.append((at, levels[-1][1] + change))
        most = max(level for _, level in levels) or 1
        y = Linear(0.0, most * 1.1, bottom, top)
        yield from self._panel(FLIGHT, "calls in flight", y, [(mark, f"{mark:g}") for mark in ticks(most, 3)])
        path = "".join(f"H{self._x(at):.1f}V{y(level):.1f}" for at, level in levels)
        yield f'<path class="flight" d="M{LEFT} {bottom}{path}V{bottom}Z"/>'

    def _budget(self) -> Iterator[str]:
        top, bottom = BUDGET
        samples = self._run.samples
        most = max((sample.budget for sample in samples), default=1.0) or 1.0
        y = Linear(0.0, most * 1.05, bottom, top)
        yield from self._panel(
            BUDGET, "retry budget of the remote model, in tokens", y, [(0.0, "0"), (most, f"{most:g}")]
        )
        points = " ".join(f"{self._x(sample.at):.1f},{y(sample.budget):.1f}" for sample in samples)
        yield f'<polyline class="budget" points="{points}"/>'


def held(samples: Sequence[Sample]) -> list[tuple[float, float]]:
    """When the remote model was left alone for a 429, as stretches from the first sample that says so to the first that does not."""
    stretches: list[tuple[float, float]] = []
    since: float | None = None
    for sample in samples:
        if sample.held and since is None:
            since = sample.at
        elif not sample.held and since is not None:
            stretches.append((since, sample.at))
            since = None
    if since is not None:
        stretches.append((since, samples[-1].at))
    return stretches


def _mark(call: CallRow, x: float, y: float) -> str:
    """A circle for the remote model, a diamond for the device, a cross for a failure."""
    count = f"{call.attempts} attempt{'' if call.attempts == 1 else 's'}"
    reasons = ", ".join(reason.replace("_", " ") for reason in (*call.failures, *call.passed_over))
    told = f"at {call.at:.2f} s: {_NAMES[call.served_by]} after {_duration(call.seconds)}, {count}"
    title = f"<title>{escape(told + (f' ({reasons})' if reasons else ''))}</title>"
    if call.served_by == "remote":
        return f'<circle class="dot-remote" cx="{x:.1f}" cy="{y:.1f}" r="3">{title}</circle>'
    if call.served_by == "on-device":
        return f'<path class="dot-device" d="M{x:.1f} {y - 4:.1f}l4 4l-4 4l-4-4z">{title}</path>'
    return f'<path class="dot-failed" d="M{x - 4:.1f} {y - 4:.1f}l8 8m0-8l-8 8">{title}</path>'


def _stretches(rows: Sequence[BreakerRow], seconds: float) -> Iterator[tuple[str, float, float, str]]:
    """The states of the remote model's breaker, each with its beginning, its end and why it came."""
    state, since, why = "closed", 0.0, ""
    for row in rows:
        if row.asked != "remote":
            continue
        yield state, since, row.at, why
        state, since, why = row.new, row.at, f": {row.reason.replace('_', ' ')}"
    yield state, since, seconds, why


def _fitting(label: str, width: float) -> str:
    """As much of `label` as fits into `width`."""
    room = int(max(0.0, width) / CHARACTER)
    return label if len(label) <= room else f"{label[: room - 1]}…" if room > 3 else ""


def _duration(seconds: float) -> str:
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms" if seconds >= 0.01 else f"{seconds * 1000:.2g} ms"
    return f"{seconds:.3g} s"
