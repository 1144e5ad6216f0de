"""The breaker's decisions: who is let through, and what their result changes.

Three rules make it safe under load. A permit carries the epoch it was given in, and a result that arrives after the state has
moved on is dropped. Half open, permits are few and have a lease, so that a lost probe cannot block recovery. The lock guards a
few integers and is never held while anything of the user's runs.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Final, final

from resilient_ai.core.clock import Random
from resilient_ai.core.events import BreakerStateName
from resilient_ai.core.failure import Health
from resilient_ai.policies.breaker.options import Breaker
from resilient_ai.policies.window import Window

PROBE_LEASE_SECONDS: Final = 120.0
"""A probe that has not come back after twice the longest attempt is taken for lost."""
JITTER: Final = 0.1


@final
@dataclass(frozen=True, slots=True)
class Permit:
    """Leave for one attempt. Given back to the gate exactly once, by `settle`."""

    epoch: int
    probe: int = 0


@final
@dataclass(frozen=True, slots=True)
class Change:
    """A change of state, for events and listeners. `open_for` is the break's length in seconds, where it opened."""

    old: BreakerStateName
    new: BreakerStateName
    reason: str
    open_for: float | None = None


@final
class Gate:
    """The breaker of one model. Thread safe; shared by every chain that uses the model.

    `changes` collects what happened until somebody outside the lock takes it with `take_changes`. `opened_by` is what opened it last: a
    failure kind, `slow` or `by hand`.
    """

    __slots__ = (
        "_breaks",
        "_closed_permit",
        "_consecutive",
        "_epoch",
        "_good_probes",
        "_lock",
        "_open_until",
        "_probe_serial",
        "_probes",
        "_window",
        "changes",
        "opened_by",
        "options",
        "state",
    )

    def __init__(self, options: Breaker) -> None:
        self.options = options
        self.state: BreakerStateName = "closed" if options.enabled else "disabled"
        # Re-entrant: a stream that the collector drops gives back what it holds, perhaps in a thread that is just in here.
        self._lock = threading.RLock()
        self._window = Window(options.window)
        self._consecutive = 0
        self._epoch = 0
        self._closed_permit = Permit(0)
        self._open_until = 0.0
        self._breaks = 0
        self._good_probes = 0
        self._probe_serial = 0
        self._probes: dict[int, float] = {}
        self.changes: list[Change] = []
        self.opened_by = ""

    def peek(self, now: float) -> float | None:
        """None if an attempt would be let through now, else seconds until it may be."""
        state = self.state
        if state in ("closed", "disabled"):
            return None
        with self._lock:
            if self.state == "open":
                return self._open_until - now if now < self._open_until else None
            if self.state == "half-open":
                self._drop_lost_probes(now)
                return None if len(self._probes) < self.options.probes else 1.0
            return float("inf") if self.state == "forced-open" else None

    def admit(self, now: float, *, anyway: bool = False) -> Permit | None:
        """Leave for one attempt, or None. `anyway` lets a last resort through whatever the state; its result still counts."""
        if self.state == "closed":  # read without the lock: the permit's epoch settles any race
            return self._closed_permit
        with self._lock:
            if self.state == "open" and now >= self._open_until:
                self._move("half-open", "break over")
            if self.state == "half-open":
                self._drop_lost_probes(now)
                if len(self._probes) < self.options.probes:
                    self._probe_serial += 1
                    self._probes[self._probe_serial] = now + PROBE_LEASE_SECONDS
                    return Permit(self._epoch, self._probe_serial)
            if self.state in ("closed", "disabled") or anyway:
                return Permit(self._epoch)
            return None

    def settle(
        self,
        permit: Permit,
        health: Health,
        now: float,
        chance: Random,
        seconds: float = 0.0,
        *,
        alert: bool = False,
        retry_after: float | None = None,
        reason: str = "failures",
    ) -> None:
        """Gives a permit back with what the attempt showed. A permit of an earlier state changes nothing.

        Args:
            permit: As given by `admit`.
            health: What the attempt says of the model; `neutral` only returns the permit.
            now: The instant it ended.
            chance: Jitter of the break's length.
            seconds: How long it took to answer, for the slow-call rule.
            alert: Waiting will not mend it: open at once, for the longest break.
            retry_after: How long the server asked to be left alone, in seconds.
            reason: The failure kind, for the change's record.
        """
        slow = self.options.slow is not None and seconds > self.options.slow
        with self._lock:
            if permit.epoch != self._epoch:
                return
            if health == "success" and self.state == "closed":
                self._consecutive = 0
                self._window.add(now, good=not slow)
                if slow:
                    self._open_on_ratio(now, chance, None, "slow")
                return
            if permit.probe:
                self._probes.pop(permit.probe, None)
            if health == "neutral" or self.state in ("disabled", "forced-open"):
                return
            if health == "failure":
                self._count_failure(now, chance, alert=alert, retry_after=retry_after, reason=reason)
            elif self.state == "half-open":
                self._count_good_probe()
            elif self.state == "open":
                # A last resort answered: the model is back before its break is over.
                self._move("half-open", "last resort answered")
                self._count_good_probe()

    def take_changes(self) -> tuple[Change, ...]:
        """The changes since the last call, in order. Look at `changes` first: there are almost never any, and that needs no lock."""
        with self._lock:
            changes = tuple(self.changes)
            self.changes.clear()
            return changes

    def retry_after(self, now: float) -> float | None:
        """Seconds until an attempt may be let through; None if one may now or if nobody can tell."""
        wait = self.peek(now)
        return None if wait is None or wait == float("inf") else wait

    def force_open(self) -> None:
        """Lets nothing through until `reset` or `force_close`."""
        with self._lock:
            self._move("forced-open", "by hand")

    def force_close(self) -> None:
        """Closes now and forgets the window."""
        with self._lock:
            self._breaks = 0
            self._move("closed", "by hand")

    def disable(self) -> None:
        """Lets everything through and counts nothing until `force_close`."""
        with self._lock:
            self._move("disabled", "by hand")

    def reset_lock(self) -> None:
        """Forgets in a forked child the parent's probes, and the lock one of its threads may have held."""
        self._lock = threading.RLock()
        self._probes.clear()

    def _count_failure(
        self, now: float, chance: Random, *, alert: bool, retry_after: float | None, reason: str
    ) -> None:
        if alert:
            self._open(now, chance, self.options.open_for_max, reason)
            return
        if self.state == "half-open":
            self._open(now, chance, retry_after, reason)
            return
        if self.state == "open":  # a last resort failed: the break stands
            return
        self._consecutive += 1
        self._window.add(now, good=False)
        most = self.options.consecutive
        if most is not None and self._consecutive >= most:
            self._open(now, chance, retry_after, reason)
        else:
            self._open_on_ratio(now, chance, retry_after, reason)

    def _open_on_ratio(self, now: float, chance: Random, retry_after: float | None, reason: str) -> None:
        good, bad = self._window.counts(now)
        total = good + bad
        if total >= self.options.min_calls and bad >= self.options.failure_ratio * total:
            self._open(now, chance, retry_after, reason)

    def _count_good_probe(self) -> None:
        self._good_probes += 1
        if self._good_probes >= self.options.successes:
            self._breaks = 0
            self._move("closed", "probes answered")

    def _open(self, now: float, chance: Random, at_least: float | None, reason: str) -> None:
        options = self.options
        length = min(options.open_for_max, options.open_for * 2 ** min(self._breaks, 30))
        length *= 1 + JITTER * (2 * chance.random() - 1)
        length = min(options.open_for_max, max(length, at_least or 0.0))
        self._breaks += 1
        self._open_until = now + length
        self._move("open", reason, length)

    def _move(self, new: BreakerStateName, reason: str, open_for: float | None = None) -> None:
        old = self.state
        self.state = new
        self._epoch += 1
        self._probes.clear()
        self._good_probes = 0
        if new == "closed":
            self._consecutive = 0
            self._window.clear()
            self._closed_permit = Permit(self._epoch)
        if new in ("open", "forced-open"):
            self.opened_by = reason
        if old != new:
            self.changes.append(Change(old, new, reason, open_for))

    def _drop_lost_probes(self, now: float) -> None:
        for serial in [serial for serial, lease in self._probes.items() if lease <= now]:
            del self._probes[serial]
