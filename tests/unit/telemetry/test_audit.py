"""The audit trail: complete, sealed, shared by threads, processes and forks; and never in the way of a call."""

from __future__ import annotations

import errno
import json
import logging
import multiprocessing
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from resilient_ai import ConfigError, Message, ResilientModel, Retry, Text, ToolCall
from resilient_ai.core import events
from resilient_ai.core.events import Event
from resilient_ai.core.failure import FailureKind
from resilient_ai.core.model import Price, Traits
from resilient_ai.messages import Skip
from resilient_ai.models import canned
from resilient_ai.privacy import Secret
from resilient_ai.runtime import observers
from resilient_ai.telemetry import Audit, AuditReport, config_loaded, names, observe, verify_audit
from resilient_ai.telemetry.audit import file as sealed
from resilient_ai.telemetry.audit.trail import AuditTrail, counts
from resilient_ai.telemetry.tables import audit_tables, in_step
from resilient_ai.testing import ManualClock, ScriptedModel, error, ok
from unit.telemetry import story
from unit.telemetry.story import CANARY, KEY

AUDIT_KEY = "k" * 32
PRICED = Traits(typical_seconds=0.05, price=Price(1.0, 2.0))
WITH_DEV_FULL = pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no full device")
WITH_FORK = pytest.mark.skipif(not hasattr(os, "fork"), reason="the system cannot fork")


def records(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def begun(path: Path, key: str | None = AUDIT_KEY) -> AuditTrail:
    """A trail in `path`, on a clock that stands still."""
    return AuditTrail(Audit(path, None if key is None else Secret(key)), clock=ManualClock())


def tell(trail: AuditTrail, *told: list[Event]) -> None:
    for call in told:
        for event in call:
            trail(event)


def kept(path: Path, *told: list[Event], key: str | None = AUDIT_KEY) -> list[dict[str, Any]]:
    """The records of `told` in a new trail."""
    trail = begun(path, key)
    tell(trail, *told)
    trail.close()
    return records(path)


def many(path: Path, calls: int = 8) -> list[bytes]:
    """The lines of a trail of several calls."""
    kept(path, *(story.answered() for _ in range(calls)))
    return path.read_bytes().splitlines(keepends=True)


def verified(path: Path, *, key: str | None = AUDIT_KEY, noted: str | None = None) -> AuditReport:
    return verify_audit(path, key=key, noted=noted)


# --- what a record holds ----------------------------------------------------------------------------------------------


def test_a_call_is_one_record_with_every_key_of_the_table_and_no_other(tmp_path: Path) -> None:
    found = kept(tmp_path / "audit.jsonl", story.answered(), story.retried(), story.fell_back())
    assert [one["record"] for one in found] == ["opened", "call", "call", "call", "closed"]
    rows = {row.record: row for row in names.AUDIT_RECORDS}
    for one in found:
        assert set(one) == set(names.AUDIT_COMMON) | set(rows[one["record"]].keys)


def test_a_record_says_who_answered_after_which_attempts_at_what_cost_under_which_policy(
    tmp_path: Path,
) -> None:
    path = tmp_path / "audit.jsonl"
    chain = ResilientModel(
        [
            ScriptedModel([error(503), error(429, retry_after=900)], name="first", traits=PRICED),
            ScriptedModel([ok("It is on its way.")], name="second", traits=PRICED),
        ],
        name="support",
        retry=Retry(2, base=0, cap=0),
    )
    with observe(logs=None, spans=False, metrics=False, audit=path):
        reply = chain.generate("Where is my parcel?", data_class="personal")
    assert reply.outcome is not None
    _, call, _ = records(path)
    assert call["served_by"] == "second"
    assert call["outcome"] == "degraded"
    assert call["policy"] == reply.outcome.policy
    assert call["data_class"] == "personal"
    assert [(one["model"], one["error_type"], one["verdict"], one["status"]) for one in call["attempts"]] == [
        ("first", "overloaded", "retry", 503),
        ("first", "rate_limited", "next", 429),
        ("second", None, "answered", None),
    ]
    assert call["attempts"][2]["cost"] == reply.outcome.attempts[2].cost is not None
    assert call["cost"] == reply.cost
    assert call["prompt"] == {"messages": 1, "characters": 19, "fingerprint": None}
    assert call["answer"] == {
        "characters": 17,
        "tool_calls": 0,
        "finish_reason": "stop",
        "fingerprint": None,
    }


def test_a_model_that_is_not_cleared_is_in_the_record_with_the_class_it_may_not_see(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    less = Traits(typical_seconds=0.05, data_classes=frozenset({"public"}))
    chain = ResilientModel([ScriptedModel([ok()], name="remote", traits=less), canned("Later.")])
    with observe(logs=None, spans=False, metrics=False, audit=path):
        chain.generate("My name is Ann.", data_class="restricted")
    call = records(path)[1]
    assert call["data_class"] == "restricted"
    assert [(one["model"], one["reason"]) for one in call["skipped"]] == [("remote", "data_class")]
    assert call["served_by"] == "canned"


def test_a_record_shows_nothing_of_what_was_asked_or_answered(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    leaky = Skip(KEY, KEY, KEY)
    call = story.fell_back()
    finished = call[-1]
    assert isinstance(finished, events.CallFinished)
    call.insert(-1, events.ModelSkipped(finished.call, 1.0, leaky))
    kept(path, call)
    text = path.read_text()
    assert CANARY not in text
    assert KEY not in text


def test_a_fingerprint_finds_a_call_again_for_who_holds_the_key_and_the_text(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    audit = Audit(path, Secret(AUDIT_KEY))
    conversation = [
        Message("system", (Text("Be brief."),)),
        Message("user", (Text("Where is my parcel?"),)),
        Message("assistant", (ToolCall("c1", "find", '{"of": "me"}'),)),
    ]
    with observe(logs=None, spans=False, metrics=False, audit=audit):
        ResilientModel([canned("Under way. \ud800")]).generate(conversation)
    call = records(path)[1]
    assert call["prompt"]["fingerprint"] == audit.fingerprint(
        "Be brief.", "Where is my parcel?", '{"of": "me"}'
    )
    assert call["answer"]["fingerprint"] == audit.fingerprint("Under way. \ud800")
    assert call["prompt"]["characters"] == len("Be brief.Where is my parcel?{'of': 'me'}")
    assert audit.fingerprint("ab", "c") != audit.fingerprint("a", "bc")
    assert Audit(path, Secret("another" * 5)).fingerprint("x") != audit.fingerprint("x")
    assert Audit(path).fingerprint("x") is None


def test_what_operators_do_is_recorded_too(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    alert = events.AlertRaised(1.0, "gpt-x", "openai", FailureKind.AUTHENTICATION)
    by_itself = events.BreakerChanged(1.0, "gpt-x", "openai", "closed", "open", "server_error", 15.0)
    by_hand = events.BreakerChanged(1.0, "gpt-x", "openai", "open", "forced-open", "by hand")
    with observe(logs=None, spans=False, metrics=False, audit=path):
        config_loaded(source="resilient.toml", policy="9f86d081", chains=2, models=3)
        for event in (alert, by_itself, by_hand):
            observers.emit(observers.current(), event)
    found = records(path)
    assert [one["record"] for one in found] == ["opened", "config", "alert", "breaker", "closed"]
    assert (found[1]["policy"], found[1]["chains"]) == ("9f86d081", 2)
    assert (found[2]["model"], found[2]["error_type"]) == ("gpt-x", "authentication")
    assert (found[3]["old"], found[3]["new"]) == ("open", "forced-open")


def test_a_breaker_that_is_forced_open_is_recorded_with_the_next_call(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    chain = ResilientModel([ScriptedModel([ok()] * 2, name="remote"), canned("Later.")])
    with observe(logs=None, spans=False, metrics=False, audit=path):
        chain.plan.hops[0].state.breaker.force_open()
        assert chain.generate("x").text == "Later."
    assert [one["new"] for one in records(path) if one["record"] == "breaker"] == ["forced-open"]


def test_calls_in_flight_when_the_watching_ends_are_recorded_as_unfinished(tmp_path: Path) -> None:
    found = kept(tmp_path / "audit.jsonl", story.answered()[:3])
    assert [(one["record"], one.get("outcome")) for one in found] == [
        ("opened", None),
        ("call", "unfinished"),
        ("closed", None),
    ]


def test_the_ids_of_a_record_are_those_of_the_calls_span(tmp_path: Path) -> None:
    path, spans = tmp_path / "audit.jsonl", tmp_path / "spans.jsonl"
    with observe(logs=None, metrics=False, span_file=spans, audit=path):
        ResilientModel([canned("x")]).generate("y")
    request = next(one for one in records(spans) if one["name"] == names.SPAN_REQUEST)
    call = records(path)[1]
    assert (call["trace_id"], call["span_id"]) == (request["trace_id"], request["span_id"])


# --- what tampering shows ---------------------------------------------------------------------------------------------


def changed(lines: list[bytes]) -> list[bytes]:
    return [*lines[:4], lines[4].replace(b'"outcome":"ok"', b'"outcome":"er"'), *lines[5:]]


TAMPERED: dict[str, tuple[Callable[[list[bytes]], list[bytes]], int]] = {
    "a record is changed": (changed, 5),
    "a record is removed": (lambda lines: [*lines[:4], *lines[5:]], 5),
    "a record is put in twice": (lambda lines: [*lines[:5], lines[4], *lines[5:]], 6),
    "two records are swapped": (lambda lines: [*lines[:3], lines[4], lines[3], *lines[5:]], 4),
    "the first record is removed": (lambda lines: lines[1:], 1),
    "a record is made unreadable": (lambda lines: [*lines[:4], b"\x00" * 40 + b"\n", *lines[5:]], 6),
    "a record is added without the key": (
        lambda lines: [*lines[:5], re.sub(rb'"n":\d+', b'"n":6', lines[4]), *lines[5:]],
        6,
    ),
    "a seal is changed": (lambda lines: [*lines[:4], lines[4][:-10] + b'0000000"}\n', *lines[5:]], 5),
}


@pytest.mark.parametrize("how", TAMPERED)
@pytest.mark.parametrize("key", [AUDIT_KEY, None], ids=["with a key", "without"])
def test_the_first_broken_line_is_named_when(how: str, key: str | None, tmp_path: Path) -> None:
    tamper, line = TAMPERED[how]
    path = tmp_path / "audit.jsonl"
    kept(path, *(story.answered() for _ in range(8)), key=key)
    lines = path.read_bytes().splitlines(keepends=True)
    assert verified(path, key=key).whole
    path.write_bytes(b"".join(tamper(lines)))
    report = verified(path, key=key)
    assert not report.whole
    assert report.broken is not None
    assert report.broken.line == line
    assert f"audit.jsonl:{line}: " in str(report.broken)


def test_every_single_byte_of_a_trail_is_sealed(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    content = b"".join(many(path, 2))
    for at in range(0, len(content), 7):
        path.write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
        report = verified(path)
        assert not report.whole or report.cut, at
        assert report.records < 4, at


def test_without_the_key_nobody_can_seal_a_changed_trail_anew(tmp_path: Path) -> None:
    ours, theirs = tmp_path / "ours.jsonl", tmp_path / "theirs.jsonl"
    many(ours)
    kept(theirs, story.answered(), key="guessed" * 5)
    assert "another key" in str(verified(theirs).broken)
    kept(tmp_path / "bare.jsonl", story.answered(), key=None)
    assert "without a key" in str(verified(tmp_path / "bare.jsonl").broken)
    assert "sealed with a key" in str(verified(ours, key=None).broken)


def test_an_end_that_is_missing_shows_only_to_who_noted_a_seal(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    lines = many(path)
    noted = verified(path).last.seal
    assert verified(path, noted=noted).whole
    path.write_bytes(b"".join(lines[:-2]))
    assert verified(path).whole
    assert verified(path).unclosed == (os.getpid(),)
    report = verified(path, noted=noted)
    assert (report.whole, report.broken, report.noted) == (False, None, False)


# --- what a crash leaves ----------------------------------------------------------------------------------------------


def test_a_last_line_that_was_cut_short_is_told_and_the_next_process_goes_on_behind_it(
    tmp_path: Path,
) -> None:
    path = tmp_path / "audit.jsonl"
    lines = many(path)
    path.write_bytes(b"".join(lines[:-1]) + lines[-1][:20])
    report = verified(path)
    assert report.whole
    assert [(one.line, report.records) for one in report.cut] == [(len(lines), len(lines) - 1)]
    trail = begun(path)
    tell(trail, story.answered())
    trail.close()
    report = verified(path)
    assert report.whole
    assert [one.line for one in report.cut] == [len(lines)]
    assert report.records == len(lines) - 1 + 3


def test_an_emptied_file_is_not_whole(tmp_path: Path) -> None:
    path, emptied = tmp_path / "audit.jsonl", tmp_path / "audit.jsonl.1"
    many(path)
    emptied.touch()
    for files in ([emptied], [emptied, path], [path, emptied]):
        report = verify_audit(*files, key=AUDIT_KEY)
        assert not report.whole
        assert report.broken is not None
        assert (report.broken.file, report.broken.what) == (
            emptied,
            "the file is empty: its first record is missing",
        )


def test_a_last_line_that_was_written_over_is_told_and_not_taken_for_a_record(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    lines = many(path)
    path.write_bytes(b"".join(lines[:-1]) + b"x" * (len(lines[-1]) - 1) + b"\n")
    report = verified(path)
    assert report.records == len(lines) - 1
    assert [one.what for one in report.cut] == [
        "the line is no record: it was cut off or written over, and what it held is lost"
    ]


CRASHING = """
import os, signal, sys
from resilient_ai import ResilientModel
from resilient_ai.models import canned
from resilient_ai.telemetry import observe
chain = ResilientModel([canned("x")])
observe(logs=None, spans=False, metrics=False, audit=sys.argv[1])
for _ in range(5):
    chain.generate("y")
stream = chain.stream("y")
next(stream)
if sys.argv[2] == "killed":
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="the system kills nobody")
@pytest.mark.parametrize("how", ["killed", "left"])
def test_a_process_that_is_killed_loses_the_call_it_was_making_and_one_that_ends_loses_nothing(
    how: str, tmp_path: Path
) -> None:
    path = tmp_path / "audit.jsonl"
    done = subprocess.run([sys.executable, "-c", CRASHING, str(path), how], check=False, timeout=60)
    assert (done.returncode == 0) == (how == "left")
    report = verified(path, key=None)
    assert report.whole
    assert report.cut == ()
    assert len(report.unclosed) == (how == "killed")
    assert report.calls == (5 if how == "killed" else 6)


# --- who writes at the same time --------------------------------------------------------------------------------------


def write_calls(path: Path, count: int) -> None:
    trail = begun(path)
    tell(trail, *(story.answered() for _ in range(count)))
    trail.close()


def test_eight_threads_write_one_chain(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    trail = begun(path)
    told = [[story.answered() for _ in range(25)] for _ in range(8)]

    def work(calls: list[list[Event]]) -> None:
        tell(trail, *calls)

    threads = [threading.Thread(target=work, args=(calls,)) for calls in told]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    trail.close()
    report = verified(path)
    assert (report.whole, report.calls, report.lost) == (True, 200, 0)


@WITH_FORK
def test_several_processes_write_one_chain(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=write_calls, args=(path, 100)) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert [worker.exitcode for worker in workers] == [0, 0, 0]
    report = verified(path)
    assert (report.whole, report.calls, report.lost, report.unclosed) == (True, 300, 0, ())


@WITH_FORK
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork.*:DeprecationWarning")
def test_a_forked_child_goes_on_in_the_same_chain_and_does_not_end_its_parents_calls(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    trail = begun(path)
    under_way, of_the_child = story.answered(), story.answered()
    trail(under_way[0])
    # As another thread of the parent that is writing while it forks.
    entered, leave = threading.Event(), threading.Event()

    def hold() -> None:
        with trail._file._lock, trail._calls._lock:
            entered.set()
            leave.wait(30)

    holder = threading.Thread(target=hold)
    holder.start()
    entered.wait(30)
    child = os.fork()
    if child == 0:
        status = 1
        try:
            tell(trail, of_the_child)
            trail.close()
            status = 0
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    leave.set()
    holder.join()
    tell(trail, under_way[1:])
    trail.close()
    report = verified(path)
    assert (report.whole, report.calls, report.unclosed) == (True, 2, ())
    assert [(one["record"], one["process"]) for one in records(path)] == [
        ("opened", os.getpid()),
        *(("opened", child), ("call", child), ("closed", child)),
        ("call", os.getpid()),
        ("closed", os.getpid()),
    ]


def test_a_call_the_collector_ends_in_the_middle_of_a_write_is_recorded_behind_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "audit.jsonl"
    trail = begun(path)
    dropped = story.answered()
    tell(trail, dropped[:-1])
    write = os.write

    def collecting(descriptor: int, line: bytes) -> int:
        monkeypatch.setattr(os, "write", write)
        trail(dropped[-1])
        return write(descriptor, line)

    monkeypatch.setattr(os, "write", collecting)
    tell(trail, story.answered())
    trail.close()
    report = verified(path)
    assert (report.whole, report.calls) == (True, 2)


def test_a_file_that_is_rotated_away_goes_on_in_a_new_one_that_names_the_end_of_the_old(
    tmp_path: Path,
) -> None:
    path, old = tmp_path / "audit.jsonl", tmp_path / "audit.jsonl.1"
    one = begun(path)
    other = begun(path)
    for trail in (one, other, one):
        tell(trail, story.answered())
    path.rename(old)
    for trail in (other, one):  # `other` does not know yet what `one` wrote last
        tell(trail, story.answered())
    one.close()
    other.close()
    report = verify_audit(old, path, key=AUDIT_KEY)
    assert (report.whole, report.calls, report.restarts) == (True, 5, ())
    assert verified(path).whole, "the later file alone can be verified, too"
    lines = old.read_bytes().splitlines(keepends=True)
    old.write_bytes(b"".join(lines[:-1]))
    broken = verify_audit(old, path, key=AUDIT_KEY).broken
    assert broken is not None
    assert (broken.file, broken.line) == (path, 1)
    assert "does not follow the one before it" in broken.what


def test_a_chain_that_begins_anew_in_a_later_file_is_told(tmp_path: Path) -> None:
    many(tmp_path / "a")
    many(tmp_path / "b")
    report = verify_audit(tmp_path / "a", tmp_path / "b", key=AUDIT_KEY)
    assert report.whole
    assert report.restarts == (tmp_path / "b",)


# --- what is wrong with the file --------------------------------------------------------------------------------------


@WITH_DEV_FULL
def test_a_full_disk_is_counted_and_reported_once_and_changes_no_call(
    caplog: pytest.LogCaptureFixture,
) -> None:
    chain = ResilientModel([canned("x")])
    before = counts()
    with (
        caplog.at_level(logging.WARNING, "resilient_ai"),
        observe(logs=None, spans=False, metrics=False, audit="/dev/full"),
    ):
        assert [chain.generate("y").text for _ in range(3)] == ["x"] * 3
    written, failed = counts()
    assert written == before[0]
    assert failed == before[1] + 4, "the first record, and those of three calls"
    warnings = [message for message in caplog.messages if "audit" in message]
    assert len(warnings) == 1
    assert "OSError ENOSPC" in warnings[0]


def test_records_that_could_not_be_written_are_told_of_by_the_next_that_can_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "audit.jsonl"
    trail = begun(path)
    write = os.write

    def half(descriptor: int, line: bytes) -> int:
        return write(descriptor, line[:10])

    for room in (True, False, False, True):
        monkeypatch.setattr(os, "write", write if room else half)
        tell(trail, story.answered())
    trail.close()
    assert [one.get("lost") for one in records(path)] == [None, None, 2, None]
    report = verified(path)
    assert (report.whole, report.calls, report.lost, report.cut) == (True, 2, 2, ())


def test_a_folder_that_goes_and_comes_back_costs_the_records_in_between(tmp_path: Path) -> None:
    folder, away = tmp_path / "audit", tmp_path / "away"
    folder.mkdir()
    path = folder / "audit.jsonl"
    chain = ResilientModel([canned("x")])
    with observe(logs=None, spans=False, metrics=False, audit=path):
        chain.generate("y")
        folder.rename(away)
        assert chain.generate("y").text == "x"
        away.rename(folder)
        chain.generate("y")
    report = verified(path, key=None)
    assert (report.whole, report.calls, report.lost) == (True, 2, 1)


def test_a_file_another_process_holds_is_waited_for_a_bounded_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fcntl = pytest.importorskip("fcntl")
    clock = ManualClock()
    monkeypatch.setattr(sealed, "SYSTEM_CLOCK", clock)
    path = tmp_path / "audit.jsonl"
    trail = AuditTrail(Audit(path), clock=ManualClock())
    before = counts()[1]
    with path.open() as holder:
        fcntl.flock(holder, fcntl.LOCK_EX)
        tell(trail, story.answered())
    assert counts()[1] == before + 1
    assert 0 < clock.now() < 1
    trail.close()
    assert verified(path, key=None).whole


def test_only_its_own_user_may_read_the_file(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    many(path, 1)
    if os.name == "posix":
        assert path.stat().st_mode & 0o077 == 0


def test_every_record_can_be_forced_to_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", synced.append)
    for policy, count in (("never", 0), ("always", 3)):
        synced.clear()
        trail = AuditTrail(Audit(tmp_path / policy, fsync=policy), clock=ManualClock())  # type: ignore[arg-type]
        for event in [*story.answered(), *story.answered()]:
            trail(event)
        trail.close()
        assert len(synced) >= count
        assert bool(synced) == bool(count)


# --- what is refused at once ------------------------------------------------------------------------------------------


def test_a_file_that_cannot_be_opened_is_said_at_once(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        observe(logs=None, spans=False, metrics=False, audit=tmp_path / "no" / "audit.jsonl")
    assert observers.current() == ()


@WITH_DEV_FULL
def test_a_required_trail_that_cannot_be_written_is_said_at_once() -> None:
    with pytest.raises(OSError, match="space") as caught:
        observe(logs=None, spans=False, metrics=False, audit=Audit(Path("/dev/full"), required=True))
    assert caught.value.errno == errno.ENOSPC
    assert observers.current() == ()


def test_a_file_that_is_no_trail_or_has_another_key_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    notes = tmp_path / "notes.txt"
    notes.write_text("Buy milk.\n")
    with pytest.raises(ConfigError, match=r"notes\.txt is no audit trail"):
        observe(logs=None, audit=notes)
    assert notes.read_text() == "Buy milk.\n"
    many(tmp_path / "audit.jsonl", 1)
    with pytest.raises(ConfigError, match="another key"):
        observe(logs=None, audit=tmp_path / "audit.jsonl")


def test_a_key_that_can_be_guessed_is_refused_and_none_is_shown(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="16 at least") as caught:
        Audit(tmp_path / "a", Secret("short-secret"))
    assert "short-secret" not in str(caught.value)
    assert AUDIT_KEY not in repr(Audit(tmp_path / "a", Secret(AUDIT_KEY)))
    with pytest.raises(ConfigError, match="fsync is 'sometimes'"):
        Audit(tmp_path / "a", fsync="sometimes")  # type: ignore[arg-type]


def test_the_page_is_in_step_with_the_names() -> None:
    page = (Path(__file__).parents[3] / "docs" / "audit.md").read_text()
    assert in_step(page, audit_tables()) == page
