"""The figures of a run, computed from its records. Pure."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, final

from resilient_ai.cli.demo.recording import (
    Agreement,
    AttemptRow,
    BreakerRow,
    CallRow,
    PhaseRow,
    Place,
    Recording,
    Sample,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence


@final
@dataclass(frozen=True, slots=True)
class Run:
    """A run that is over, as the report needs it.

    Attributes:
        scripted: The remote model was the scripted provider, whose answers are looked up.
        remote: `provider:name` of the first model.
        device: The same of the second.
        deadline: Seconds each call was given.
        seconds: How long the run lasted.
        calls, attempts, breaker, phases, samples, agreement: As recorded.
        untyped: Types of exceptions that are not the library's own.
        policy: The chain's own explanation of its policy.
    """

    scripted: bool
    remote: str
    device: str
    deadline: float
    seconds: float
    calls: Sequence[CallRow]
    attempts: Sequence[AttemptRow]
    breaker: Sequence[BreakerRow]
    phases: Sequence[PhaseRow]
    samples: Sequence[Sample]
    agreement: Mapping[Place, Agreement]
    untyped: Sequence[str]
    policy: str

    @classmethod
    def of(
        cls, recording: Recording, *, scripted: bool, models: Sequence[str], deadline: float, policy: str
    ) -> Run:
        """The run that `recording` watched."""
        return cls(
            scripted,
            models[0],
            models[1],
            deadline,
            recording.seconds,
            tuple(recording.calls),
            tuple(recording.attempts),
            tuple(recording.breaker),
            tuple(recording.phases),
            tuple(recording.samples),
            recording.agreement,
            tuple(recording.untyped),
            policy,
        )


@final
@dataclass(frozen=True, slots=True)
class Summary:
    """A run in figures. Durations are in seconds; percentiles are over all calls, answered or not.

    Attributes:
        calls: Calls that ended.
        answered: Those that were answered, by whomever.
        degraded: Those of them answered by another model than the first.
        failed: Those that ended in an error.
        late: Those that ended clearly after their deadline.
        attempts: Requests sent, to the remote model and to the device.
        untyped: Calls that ended in an exception that is not the library's own: a bug.
    """

    calls: int
    answered: int
    degraded: int
    failed: int
    late: int
    attempts: int
    untyped: int
    p50: float | None
    p95: float | None
    p99: float | None
    longest: float | None
    served_by: Mapping[Place, int]

    @property
    def good(self) -> bool:
        """Every call was answered or failed with a typed error, and none was late."""
        return self.late == 0 and self.untyped == 0 and self.calls > 0

    @property
    def attempts_per_call(self) -> float:
        """Requests sent for each call."""
        return self.attempts / self.calls if self.calls else 0.0


@final
@dataclass(frozen=True, slots=True)
class PhaseSummary:
    """The calls that began in one phase. `why` counts what sent attempts or calls elsewhere."""

    phase: PhaseRow
    calls: int
    remote: int
    on_device: int
    failed: int
    attempts: int
    p50: float | None
    p95: float | None
    longest: float | None
    why: Mapping[str, int]


def percentile(values: Sequence[float], share: float) -> float | None:
    """The smallest of `values` that at least `share` of them do not exceed (nearest rank); None if there are none."""
    if not values:
        return None
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def summarise(run: Run) -> Summary:
    """`run` in figures."""
    seconds = [call.seconds for call in run.calls]
    served = Counter(call.served_by for call in run.calls)
    return Summary(
        calls=len(run.calls),
        answered=served["remote"] + served["on-device"],
        degraded=served["on-device"],
        failed=served[None],
        late=sum(call.late for call in run.calls),
        attempts=sum(call.attempts for call in run.calls),
        untyped=len(run.untyped),
        p50=percentile(seconds, 0.5),
        p95=percentile(seconds, 0.95),
        p99=percentile(seconds, 0.99),
        longest=max(seconds, default=None),
        served_by={"remote": served["remote"], "on-device": served["on-device"]},
    )


def by_phase(run: Run) -> list[PhaseSummary]:
    """The calls of `run` by the phase they began in."""
    return [_phase_summary(phase, _begun_in(phase, run.calls)) for phase in run.phases]


def _begun_in(phase: PhaseRow, calls: Iterable[CallRow]) -> list[CallRow]:
    end = math.inf if phase.end is None else phase.end
    return [call for call in calls if phase.at <= call.at < end]


def _phase_summary(phase: PhaseRow, calls: Sequence[CallRow]) -> PhaseSummary:
    seconds = [call.seconds for call in calls]
    served = Counter(call.served_by for call in calls)
    why = Counter(reason for call in calls for reason in (*call.failures, *call.passed_over))
    return PhaseSummary(
        phase,
        len(calls),
        served["remote"],
        served["on-device"],
        served[None],
        sum(call.attempts for call in calls),
        percentile(seconds, 0.5),
        percentile(seconds, 0.95),
        max(seconds, default=None),
        dict(why.most_common()),
    )


def document(run: Run, files: Mapping[str, str]) -> dict[str, object]:
    """`run` for machines."""
    summary = summarise(run)
    return {
        "calls": summary.calls,
        "answered": summary.answered,
        "degraded": summary.degraded,
        "failed": summary.failed,
        "late": summary.late,
        "p50_s": _rounded(summary.p50),
        "p95_s": _rounded(summary.p95),
        "p99_s": _rounded(summary.p99),
        "max_s": _rounded(summary.longest),
        "attempts": summary.attempts,
        "breaker_transitions": [
            {
                "at_s": _rounded(row.at),
                "model": row.asked,
                "from": row.old,
                "to": row.new,
                "reason": row.reason,
                "open_for_s": _rounded(row.open_for),
            }
            for row in run.breaker
        ],
        "served_by": dict(summary.served_by),
        "files": dict(files),
    }


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 4)
