"""What a run leaves behind: a record of every call, attempt, breaker change and phase, drawn from the library's events.

An observer like any other: it sees what telemetry sees, never a ticket or an answer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, TypeAlias, final

from resilient_ai.core import events

if TYPE_CHECKING:
    from resilient_ai.cli.demo.tickets import Triage
    from resilient_ai.core.clock import Clock
    from resilient_ai.core.events import BreakerStateName, Event
    from resilient_ai.health import ModelHealth
    from resilient_ai.messages import Attempt

Place: TypeAlias = Literal["remote", "on-device"]
"""Who answered, or was asked."""

LATE_SECONDS: Final = 0.1
"""A call counts as late this long after its deadline: on a busy machine a loop may be that late to look at its clock."""

ON_DEVICE: Final = "on-device"
"""Provider of the models that run here."""


@final
@dataclass(frozen=True, slots=True)
class CallRow:
    """One call that ended. Instants and durations are in seconds, here and below; instants count from the start of the run.

    Attributes:
        at: When it began.
        seconds: How long it took.
        served_by: Who answered; None if nobody did.
        attempts: Requests sent.
        failures: Why attempts failed, in order.
        passed_over: Why models were not asked, in order.
        error: Why it failed, from the closed list of `error.type`; None if it was answered.
        late: It ended more than `LATE_SECONDS` after its deadline.
    """

    at: float
    seconds: float
    served_by: Place | None
    attempts: int
    failures: tuple[str, ...] = ()
    passed_over: tuple[str, ...] = ()
    error: str | None = None
    late: bool = False

    @property
    def ended(self) -> float:
        """When it ended."""
        return self.at + self.seconds


@final
@dataclass(frozen=True, slots=True)
class AttemptRow:
    """One request that was sent. `at` is when it went out; `kind` is why it failed, or None."""

    at: float
    seconds: float
    asked: Place
    kind: str | None


@final
@dataclass(frozen=True, slots=True)
class BreakerRow:
    """A change of a breaker's state. `open_for` is the break's length, where it opened."""

    at: float
    asked: Place
    old: BreakerStateName
    new: BreakerStateName
    reason: str
    open_for: float | None


@final
@dataclass(frozen=True, slots=True)
class PhaseRow:
    """A phase of the provider, as it told it. `end` is None while it lasts."""

    name: str
    title: str
    at: float
    end: float | None = None


@final
@dataclass(frozen=True, slots=True)
class Sample:
    """How the remote model stood at an instant.

    Attributes:
        at: The instant.
        budget: Tokens left in its retry budget.
        held: Its breaker was closed, and it was left alone because a 429 had asked for it.
    """

    at: float
    budget: float
    held: bool = False


@final
@dataclass(slots=True)
class Agreement:
    """How often answers named the queue and the priority the ticket's author meant."""

    answers: int = 0
    queue: int = 0
    both: int = 0

    def add(self, answer: Triage, expected: Triage) -> None:
        """Counts one answer."""
        self.answers += 1
        self.queue += answer.queue == expected.queue
        self.both += answer == expected


@final
class Recording:
    """An observer that keeps what the screen and the report show. For one event loop. The run begins with its first phase.

    Args:
        clock: The clock of the chain it watches.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._origin = clock.now()
        self._begun: dict[int, events.CallStarted] = {}
        self.calls: list[CallRow] = []
        self.attempts: list[AttemptRow] = []
        self.breaker: list[BreakerRow] = []
        self.phases: list[PhaseRow] = []
        self.samples: list[Sample] = []
        self.agreement: dict[Place, Agreement] = {"remote": Agreement(), ON_DEVICE: Agreement()}
        self.untyped: list[str] = []
        """Types of exceptions that calls ended with and that are not the library's own."""

    @property
    def seconds(self) -> float:
        """Since the run began."""
        return self._clock.now() - self._origin

    @property
    def in_flight(self) -> int:
        """Calls that have begun and not ended."""
        return len(self._begun)

    def enter(self, name: str, title: str) -> None:
        """The provider begins a phase."""
        if not self.phases:
            self._origin = self._clock.now()
        now = self.seconds
        self._end_phase(now)
        self.phases.append(PhaseRow(name, title, now))

    def sample(self, remote: ModelHealth) -> None:
        """Notes how the remote model stands."""
        held = remote.breaker == "closed" and remote.retry_after is not None
        self.samples.append(Sample(self.seconds, remote.budget, held))

    def finish(self) -> None:
        """The run is over."""
        self._end_phase(self.seconds)

    def __call__(self, event: Event) -> None:
        match event:
            case events.CallStarted():
                self._begun[event.call] = event
            case events.AttemptFinished(attempt=attempt):
                self.attempts.append(
                    AttemptRow(
                        event.at - attempt.seconds - self._origin,
                        attempt.seconds,
                        _asked(attempt.provider),
                        None if attempt.kind is None else attempt.kind.value,
                    )
                )
            case events.CallFinished():
                self._finished(event)
            case events.BreakerChanged():
                self.breaker.append(
                    BreakerRow(
                        event.at - self._origin,
                        _asked(event.provider),
                        event.old,
                        event.new,
                        event.reason,
                        event.open_for,
                    )
                )
            case _:
                pass

    def _finished(self, event: events.CallFinished) -> None:
        began = self._begun.pop(event.call, None)
        if began is None:
            return  # it began before this recording
        outcome = event.outcome
        seconds = event.at - began.at
        self.calls.append(
            CallRow(
                began.at - self._origin,
                seconds,
                None if outcome.served_by is None else _asked(outcome.attempts[-1].provider),
                len(outcome.attempts),
                _failures(outcome.attempts),
                tuple(skip.reason for skip in outcome.skipped),
                event.error,
                seconds > began.deadline + LATE_SECONDS,
            )
        )

    def _end_phase(self, now: float) -> None:
        if self.phases and self.phases[-1].end is None:
            last = self.phases[-1]
            self.phases[-1] = PhaseRow(last.name, last.title, last.at, now)


def _asked(provider: str) -> Place:
    return ON_DEVICE if provider == ON_DEVICE else "remote"


def _failures(attempts: tuple[Attempt, ...]) -> tuple[str, ...]:
    return tuple(attempt.kind.value for attempt in attempts if attempt.kind is not None)
