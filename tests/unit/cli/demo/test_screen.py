from __future__ import annotations

import io
from dataclasses import replace

import pytest
from rich.console import Console

import demo_runs
from resilient_ai.cli.demo.recording import BreakerRow, PhaseRow, Recording
from resilient_ai.cli.demo.screen import (
    COLUMNS,
    Frame,
    LiveScreen,
    PhaseLines,
    draw,
    frame_of,
    sparkline,
    watched,
)
from resilient_ai.cli.demo.summary import print_summary
from resilient_ai.health import ChainHealth, ModelHealth
from resilient_ai.testing import ManualClock


def _health(**changes: object) -> ChainHealth:
    remote = ModelHealth("remote", "scripted", "closed", None, 150.0, 0.1, 0.2, local=False)
    device = ModelHealth("triage", "on-device", "closed", None, 300.0, 0.01, 0.02, local=True)
    return ChainHealth("ok", "demo", (replace(remote, **changes), device), 3, 0, "digest")  # type: ignore[arg-type]


def _recording() -> Recording:
    clock = ManualClock()
    recording = Recording(clock)
    recording.enter("healthy", "answers in time")
    recording.sample(_health(budget=300.0).models[0])
    clock.advance(2.0)
    recording.sample(_health(retry_after=1.0).models[0])
    clock.advance(3.0)
    recording.enter("stall", "takes requests and never answers")
    clock.advance(5.0)
    recording.calls.extend(demo_runs.CALLS)
    recording.breaker.extend(demo_runs.BREAKER)
    return recording


def _frame(**changes: object) -> Frame:
    return frame_of(_recording(), _health(**changes), lasts=20.0)


def _shown(frame: Frame, width: int = 80) -> list[str]:
    console = Console(file=io.StringIO(), width=width, force_terminal=True, color_system=None)
    with console.capture() as capture:
        console.print(draw(frame))
    return capture.get().splitlines()


def test_the_screen_fits_eighty_columns_and_twenty_four_lines() -> None:
    lines = _shown(_frame())
    assert len(lines) <= 23
    assert max(map(len, lines)) <= 80


def test_the_screen_names_the_phase_and_counts_who_answered() -> None:
    text = "\n".join(_shown(_frame()))
    assert "the provider: takes requests and never answers" in text
    assert "4 answered (2 on this device), 1 failed, 0 late, 0 in flight" in text
    assert "50% of the budget left" in text


@pytest.mark.parametrize(
    ("state", "retry_after", "expected"),
    [
        ("closed", None, "─ closed"),
        ("closed", 0.7, "closed, paced by Retry-After, asked again in 0.7 s"),
        ("open", 0.4, "open, asked again in 0.4 s"),
        ("half-open", 1.0, "half-open, one probe at a time"),
    ],
)
def test_the_screen_says_what_keeps_the_remote_model_from_being_asked(
    state: str, retry_after: float | None, expected: str
) -> None:
    assert any(expected in line for line in _shown(_frame(breaker=state, retry_after=retry_after)))


def test_a_column_shows_the_worst_state_the_breaker_was_in() -> None:
    frame = _frame()
    assert len(frame.states) == COLUMNS // 2 + 1
    assert frame.states[0] == "closed"
    assert frame.states[int(5.1 / 20 * COLUMNS)] == "open"
    assert frame.states[-1] == "closed"


def test_the_strip_shows_when_the_remote_model_was_left_alone_for_a_429() -> None:
    frame = _frame()
    assert [column for column, held in enumerate(frame.held) if held] == [int(2 / 20 * COLUMNS)]
    assert any("───╌───" in line for line in _shown(frame))


def test_the_breaker_of_another_model_does_not_show() -> None:
    recording = _recording()
    recording.breaker[:] = [BreakerRow(1.0, "on-device", "closed", "open", "timeout", 1.0)]
    assert set(frame_of(recording, _health(), lasts=20.0).states) == {"closed"}


def test_what_happened_once_is_seen_beside_what_happened_often() -> None:
    assert sparkline([0, 1, 50, 100], 100) == " ▁▄█"


def test_a_run_that_takes_longer_than_expected_stays_within_its_columns() -> None:
    frame = frame_of(_recording(), _health(), lasts=2.0)
    assert frame.lasts == 10.0
    assert sum(frame.remote) + sum(frame.on_device) + sum(frame.failed) == 5


def test_without_a_terminal_there_is_a_line_for_each_phase_that_is_over() -> None:
    out = io.StringIO()
    console = Console(file=out, width=40)
    frame = _frame()
    done = replace(frame, phases=tuple(PhaseRow(p.name, p.title, p.at, 10.0) for p in frame.phases))
    with watched(console) as lines:
        assert isinstance(lines, PhaseLines)
        for seen in (frame, frame, done, done):
            lines.show(seen)
    healthy, stall = out.getvalue().splitlines()
    assert "healthy     remote   2  on device   2" in healthy
    assert "stall" in stall


def test_on_a_terminal_the_screen_is_redrawn_in_place_and_taken_away() -> None:
    out = io.StringIO()
    console = Console(file=out, width=80, height=24, force_terminal=True, _environ={"TERM": "xterm"})
    with watched(console) as screen:
        assert isinstance(screen, LiveScreen)
        screen.show(_frame())
    written = out.getvalue()
    assert "takes requests and never answers" in written
    assert written.endswith("\x1b[2K")


@pytest.mark.parametrize("scripted", [True, False])
def test_the_summary_holds_every_figure_and_whole_paths(*, scripted: bool) -> None:
    out = io.StringIO()
    console = Console(file=out, width=80)
    path = f"/tmp/{'long-' * 20}folder/report.html"
    print_summary(console, demo_runs.run(scripted=scripted), {"report": path})
    text = " ".join(out.getvalue().split())
    assert "4 of 5 calls answered, none late: 2 by the remote model, 2 on this device, 1 failed" in text
    assert "9 sent, 1.80 for each call" in text
    assert "3 changes, at seconds: open 5.1, half-open 5.5, closed 6.0" in text
    assert ("not measured" in text) == scripted
    assert path in out.getvalue()
