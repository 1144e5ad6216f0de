"""What a person watches while the demo runs: a screen of 80 by 24 on a terminal, one line a phase anywhere else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol, Self, final

from rich.console import Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from resilient_ai.cli.demo.figures import percentile
from resilient_ai.cli.demo.recording import PhaseRow, Recording

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

    from rich.console import Console, RenderableType

    from resilient_ai.core.events import BreakerStateName
    from resilient_ai.health import ChainHealth

WIDTH: Final = 80
COLUMNS: Final = 62
"""Of the timeline, beside its labels."""
RECENT_SECONDS: Final = 5.0
"""What counts as now in the latency shown."""
CHANGES: Final = 4
"""Breaker changes shown."""
REFRESHES: Final = 8
"""A second; more is only felt as load."""

_LEVELS: Final = " ▁▂▃▄▅▆▇█"
REMOTE: Final = "bright_blue"
DEVICE: Final = "dark_orange"
FAILED: Final = "bright_red"
STATES: Final[dict[BreakerStateName, tuple[str, str]]] = {
    "closed": ("─", "green"),
    "half-open": ("▒", "yellow"),
    "open": ("█", "red"),
    "forced-open": ("█", "red"),
    "disabled": ("·", "dim"),
}
HELD: Final = ("╌", "yellow")
_WORST_FIRST: Final[tuple[BreakerStateName, ...]] = ("forced-open", "open", "half-open", "disabled", "closed")
_PHASES: Final = ("black on grey70", "black on grey84")


@final
@dataclass(frozen=True, slots=True)
class Frame:
    """One picture of a run under way. Immutable, so that another thread may draw it.

    Attributes:
        at: Seconds since the run began.
        lasts: Seconds the run is expected to last.
        phases: So far.
        remote, on_device, failed: Calls by how they ended, for each column of the timeline.
        late: Calls that ended after their deadline.
        states: The breaker's state in each column so far.
        held: In which of them the remote model was left alone, as a 429 had asked.
        changes: The last breaker changes, in words.
        recent: Median and 95th percentile of the last seconds.
        whole: Median, 95th percentile and longest of the whole run.
        breaker: The breaker's state now.
        retry_after: Seconds until the remote model may be asked again, or None.
        budget: Share of the retry budget that is left.
        in_flight: Calls that have begun and not ended.
    """

    at: float
    lasts: float
    phases: tuple[PhaseRow, ...]
    remote: tuple[int, ...]
    on_device: tuple[int, ...]
    failed: tuple[int, ...]
    late: int
    states: tuple[BreakerStateName, ...]
    held: tuple[bool, ...]
    changes: tuple[str, ...]
    recent: tuple[float | None, float | None]
    whole: tuple[float | None, float | None, float | None]
    breaker: BreakerStateName
    retry_after: float | None
    budget: float
    in_flight: int


def frame_of(recording: Recording, health: ChainHealth, *, lasts: float) -> Frame:
    """How things stand.

    Args:
        recording: Of the run.
        health: Of its chain.
        lasts: Seconds the run is expected to last.
    """
    now = recording.seconds
    full = max((sample.budget for sample in recording.samples), default=0.0)
    lasts = max(lasts, now)
    model = health.models[0]
    columns: dict[str | None, list[int]] = {place: [0] * COLUMNS for place in ("remote", "on-device", None)}
    for call in recording.calls:
        columns[call.served_by][_column(call.ended, lasts)] += 1
    every = [call.seconds for call in recording.calls]
    recent = [call.seconds for call in recording.calls if call.ended > now - RECENT_SECONDS]
    return Frame(
        now,
        lasts,
        tuple(recording.phases),
        tuple(columns["remote"]),
        tuple(columns["on-device"]),
        tuple(columns[None]),
        sum(call.late for call in recording.calls),
        _states(recording, now, lasts),
        _held(recording, now, lasts),
        tuple(
            f"{row.at:5.1f} s  {row.old} → {row.new}  ({row.reason.replace('_', ' ')})"
            for row in recording.breaker[-CHANGES:]
        ),
        (percentile(recent, 0.5), percentile(recent, 0.95)),
        (percentile(every, 0.5), percentile(every, 0.95), max(every, default=None)),
        model.breaker,
        model.retry_after,
        model.budget / full if full else 0.0,
        recording.in_flight,
    )


def _column(at: float, lasts: float) -> int:
    return min(COLUMNS - 1, max(0, int(at / lasts * COLUMNS)))


def _states(recording: Recording, now: float, lasts: float) -> tuple[BreakerStateName, ...]:
    """The worst state the remote model's breaker was in, in each column so far."""
    seen: list[set[BreakerStateName]] = [set() for _ in range(_column(now, lasts) + 1)]
    state: BreakerStateName = "closed"
    column = 0
    for row in recording.breaker:
        if row.asked != "remote":
            continue
        changed = min(_column(row.at, lasts), len(seen) - 1)
        for passed in range(column, changed + 1):
            seen[passed].add(state)
        state, column = row.new, changed
    for passed in range(column, len(seen)):
        seen[passed].add(state)
    return tuple(next(worst for worst in _WORST_FIRST if worst in states) for states in seen)


def _held(recording: Recording, now: float, lasts: float) -> tuple[bool, ...]:
    columns = [False] * (_column(now, lasts) + 1)
    for sample in recording.samples:
        columns[min(_column(sample.at, lasts), len(columns) - 1)] |= sample.held
    return tuple(columns)


def draw(frame: Frame) -> RenderableType:
    """`frame` as it is shown on a terminal; 80 columns wide and 21 lines high."""
    return Group(
        _title(frame),
        Text(),
        _timeline(frame),
        Text(),
        _facts(frame),
        Text(),
        Text("breaker changes", style="dim"),
        *(Text(f"  {line}") for line in frame.changes),
        *(Text() for _ in range(CHANGES - len(frame.changes))),
    )


def _title(frame: Frame) -> RenderableType:
    line = Table.grid(expand=False)
    line.add_column(width=WIDTH - 16)
    line.add_column(width=14, justify="right")
    phase = frame.phases[-1] if frame.phases else None
    said = Text("starting" if phase is None else f"the provider: {phase.title}", style="bold")
    line.add_row(said, Text(f"{frame.at:.0f} of {frame.lasts:.0f} s", style="dim"))
    return line


def _timeline(frame: Frame) -> RenderableType:
    grid = Table.grid(padding=(0, 1))
    grid.add_column(width=9)
    grid.add_column(width=COLUMNS, no_wrap=True)
    grid.add_column(width=5, justify="right")
    tallest = max(1, *frame.remote, *frame.on_device, *frame.failed)
    grid.add_row(Text("phase", "dim"), _phase_strip(frame), "")
    for label, counts, style in (
        ("remote", frame.remote, REMOTE),
        ("on device", frame.on_device, DEVICE),
        ("failed", frame.failed, FAILED),
    ):
        grid.add_row(Text(label, style), Text(sparkline(counts, tallest), style), str(sum(counts)))
    strip = Text()
    for state, held in zip(frame.states, frame.held, strict=True):
        strip.append(*(HELD if held and state == "closed" else STATES[state]))
    grid.add_row(Text("breaker", "dim"), strip, "")
    return grid


def _phase_strip(frame: Frame) -> Text:
    strip = Text()
    for number, phase in enumerate(frame.phases):
        begin = _column(phase.at, frame.lasts)
        end = _column(frame.at if phase.end is None else phase.end, frame.lasts)
        width = end - begin + (phase.end is None)
        name = f" {phase.name}" if width > len(phase.name) else phase.name[:width]
        strip.append(name.ljust(width), _PHASES[number % 2])
    return strip


def sparkline(counts: Sequence[int], tallest: int) -> str:
    """A bar for each count, the tallest of them a whole cell; what is not nothing is always seen."""
    top = len(_LEVELS) - 1
    return "".join(_LEVELS[max(count > 0, round(count / tallest * top))] for count in counts)


def _facts(frame: Frame) -> RenderableType:
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", width=10)
    grid.add_column(width=66)
    answered = sum(frame.remote) + sum(frame.on_device)
    grid.add_row(
        "calls",
        f"{answered} answered ({sum(frame.on_device)} on this device), "
        f"{sum(frame.failed)} failed, {frame.late} late, {frame.in_flight} in flight",
    )
    grid.add_row("latency", f"p50 {_s(frame.recent[0])}   p95 {_s(frame.recent[1])}   of the last 5 s")
    grid.add_row(
        "",
        f"p50 {_s(frame.whole[0])}   p95 {_s(frame.whole[1])}   longest {_s(frame.whole[2])}   of the whole run",
    )
    sign, style = STATES[frame.breaker]
    grid.add_row("breaker", Text.assemble((f"{sign} {frame.breaker}", style), _waiting(frame)))
    full = round(max(0.0, min(1.0, frame.budget)) * 20)
    grid.add_row(
        "retries",
        Text.assemble(
            ("█" * full, "green"), ("░" * (20 - full), "dim"), f" {frame.budget:.0%} of the budget left"
        ),
    )
    return grid


def _waiting(frame: Frame) -> str:
    """What keeps the remote model from being asked."""
    if frame.breaker == "half-open":
        return ", one probe at a time"
    if frame.retry_after is None:
        return ""
    why = "" if frame.breaker == "open" else ", paced by Retry-After"
    return f"{why}, asked again in {frame.retry_after:.1f} s"


def _s(seconds: float | None) -> str:
    """Seconds at a width that does not jump."""
    return "     -" if seconds is None else f"{seconds:4.2f} s"


class Watched(Protocol):
    """Shows a run under way. Entered before it begins, left when it is over."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def show(self, frame: Frame) -> None:
        """How things stand now. Quick: drawing is done elsewhere."""
        ...


@final
class LiveScreen:
    """Redraws in place, in a thread of its own: a slow terminal must not slow the calls."""

    def __init__(self, console: Console) -> None:
        self._frame: Frame | None = None
        self._live = Live(
            console=console, get_renderable=self._render, refresh_per_second=REFRESHES, transient=True
        )

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def show(self, frame: Frame) -> None:
        self._frame = frame

    def _render(self) -> RenderableType:
        return (
            Text("starting the provider and the model on this device ...")
            if self._frame is None
            else draw(self._frame)
        )


@final
class PhaseLines:
    """Prints one line when a phase is over."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._told = 0
        self._frame: Frame | None = None
        self._before = (0, 0, 0)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return

    def show(self, frame: Frame) -> None:
        over = [phase for phase in frame.phases if phase.end is not None]
        for phase in over[self._told :]:
            so_far = sum(frame.remote), sum(frame.on_device), sum(frame.failed)
            remote, device, failed = (new - old for new, old in zip(so_far, self._before, strict=True))
            self._console.print(
                f"{phase.at:5.1f} s  {phase.name:<10}  remote {remote:3}  on device {device:3}  failed {failed:2}  "
                f"p95 {_s(frame.recent[1])}  breaker {frame.breaker}",
                soft_wrap=True,
            )
            self._before = so_far
        self._told = len(over)


def watched(console: Console) -> Watched:
    """The way of showing a run that fits `console`."""
    return (
        LiveScreen(console) if console.is_terminal and not console.is_dumb_terminal else PhaseLines(console)
    )
