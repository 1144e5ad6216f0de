"""What a rule is: a recording, an alert with its runbook, and the series that must and must not set it off."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias, final

from resilient_ai.errors import ConfigError
from resilient_ai.operate import promql

Severity: TypeAlias = Literal["page", "ticket"]
"""`page` wakes somebody: the users feel it now. `ticket` is for the next working day."""

SLO: Final = 0.995
"""Share of calls that must be answered, over 30 days. A promise of the service, not of this library: set your own."""
FASTEST_BURN: Final = 14.4
"""See `burn.BURNS`. An objective below 1 - 1/14.4 has a budget that cannot be spent this fast, and its page could never fire."""

MINUTE: Final = 60.0
HOUR: Final = 3600.0
DAY: Final = 86_400.0


@final
@dataclass(frozen=True, slots=True)
class Terms:
    """What the rules are made for.

    Attributes:
        slo: Share of calls that must be answered, in (1 - 1/14.4, 1).
        runbooks: Folder or URL the runbooks are read under.
        pace: Factor of every duration in the rules; below 1 only to see in seconds what takes days.

    Raises:
        ConfigError: `slo` leaves no error budget, or one that cannot be burnt as fast as the fastest alert watches for.
    """

    slo: float = SLO
    runbooks: str = "runbooks"
    pace: float = 1.0

    def __post_init__(self) -> None:
        least = 1 - 1 / FASTEST_BURN
        if not least < self.slo < 1:
            raise ConfigError(
                f"slo is {self.slo!r}; it must be a share above {least:.3f}, because below it the fastest burn alert cannot fire, "
                "and below 1, because without an error budget every failure is an alert.",
                key="slo",
            )

    @property
    def budget(self) -> float:
        """Share of calls that may fail."""
        return 1 - self.slo

    def span(self, seconds: float) -> str:
        """A duration at this pace."""
        return promql.span(seconds, pace=self.pace)


@final
@dataclass(frozen=True, slots=True)
class Recording:
    """A ratio that alerts and panels read, so that all of them mean the same. Named `level:metric:operation`.

    Source: https://prometheus.io/docs/practices/rules/.
    """

    name: str
    expression: str


@final
@dataclass(frozen=True, slots=True)
class Feed:
    """One input series of a test, a sample a minute.

    Attributes:
        series: Metric and labels, in PromQL.
        values: The samples, in promtool's notation.
    """

    series: str
    values: str


@final
@dataclass(frozen=True, slots=True)
class Case:
    """Input on which an alert must be firing, or silent.

    Attributes:
        title: What is going on.
        feeds: The input.
        minutes: When it is looked at.
        labels: The labels of the alert that fires, its job with them; None if none may fire.
        value: The share `{value}` of the summary stands for.
    """

    title: str
    feeds: tuple[Feed, ...]
    minutes: int
    labels: Mapping[str, str] | None = None
    value: float = 0.0


@final
@dataclass(frozen=True, slots=True)
class Alert:
    """An alert, and all that belongs to it.

    Attributes:
        name: Its name.
        expression: PromQL that yields a series for each thing that is wrong.
        hold: Seconds it has to be wrong for. Longer than the range of the expression wherever that is a share, so that a single
            failure on a quiet service, which is in the range for as long as the range lasts, is never an alert.
        severity: Whether somebody is woken.
        labels: Our labels of the result.
        summary: One line; `{chain}`, `{model}` and the like stand for labels, `{value}` for the share.
        means: What it says, and what users notice.
        steps: What to do, in order.
        ask: Queries to look further with, each with what it shows.
        tune: When to change it, and how.
        firing: Input on which it must fire.
        silent: Inputs on which it must not: the nearest things to `firing` that are no reason to wake anybody.
    """

    name: str
    expression: str
    hold: float
    severity: Severity
    labels: tuple[str, ...]
    summary: str
    means: str
    steps: tuple[str, ...]
    tune: str
    firing: Case
    silent: tuple[Case, ...]
    ask: tuple[tuple[str, str], ...] = field(default=())

    @property
    def runbook(self) -> str:
        """Name of its runbook's file."""
        return f"{self.name}.md"

    def annotated(self) -> str:
        """The summary as a template of Prometheus."""
        labels = {
            _short(name): f"{{{{ $labels.{promql.label(name)} }}}}" for name in (*self.labels, promql.JOB)
        }
        return self.summary.format(**labels, value="{{ $value | humanizePercentage }}")

    def told(self, labels: Mapping[str, str], value: float) -> str:
        """The summary as it reads for a series with `labels`."""
        shown = {_short(name): labels.get(name, "") for name in (*self.labels, promql.JOB)}
        return self.summary.format(**shown, value=f"{value * 100:.4g}%")


@final
@dataclass(frozen=True, slots=True)
class Group:
    """Rules that are evaluated together, in order: the recordings before the alerts that read them."""

    name: str
    recordings: tuple[Recording, ...] = ()
    alerts: tuple[Alert, ...] = ()


def _short(name: str) -> str:
    """`resilient_ai.chain` is `chain` in a summary, `gen_ai.provider.name` is `provider`."""
    return name.removesuffix(".name").rpartition(".")[2]
