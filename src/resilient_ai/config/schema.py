"""What may stand in a configuration file.

Each table is a `TypedDict` that pydantic validates: strictly typed, without unknown keys, and holding exactly what was written, so
that defaults stay where they belong (in the options of each policy) and a chain can be laid over the one it extends.
The docstrings below are the descriptions that editors show.
"""

from __future__ import annotations

import math
import re
from typing import Annotated, Final, Literal, Required, TypeAlias

from pydantic import BeforeValidator, ConfigDict, Field, TypeAdapter, WithJsonSchema, with_config

# pydantic reads `typing.TypedDict` only from Python 3.12 on.
from typing_extensions import TypedDict

from resilient_ai.config.durations import DURATION_PATTERN, parse_duration
from resilient_ai.config.secrets import REFERENCE_PATTERN, check_reference
from resilient_ai.core.failure import Action
from resilient_ai.messages import DataClassName
from resilient_ai.policies.fallback import OnInterrupt, WhenAllOpen

_STRICT: Final = ConfigDict(extra="forbid", strict=True, use_attribute_docstrings=True, allow_inf_nan=False)

NAME_PATTERN: Final = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"
BASE_URL_PATTERN: Final = r"^https?://[^/?#@\s]+(/[^?#\s]*)?(\?[^#\s]*)?$"
SHA256_PATTERN: Final = r"^[0-9A-Fa-f]{64}$"
CURRENCY_PATTERN: Final = r"^[A-Z]{3}$"
_MONEY_PATTERN: Final = r"^[0-9]+(\.[0-9]+)?$"


def _positive_duration(value: object) -> float:
    seconds = parse_duration(value)
    if not seconds > 0:
        raise ValueError("expected a duration longer than 0 s")
    return seconds


def _money(value: object) -> float:
    if isinstance(value, str) and re.fullmatch(_MONEY_PATTERN, value):
        return float(value)
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and value >= 0:
        return float(value)
    raise ValueError('expected an amount of money such as "1.25"')


def _base_url(value: object) -> str:
    if isinstance(value, str) and re.fullmatch(BASE_URL_PATTERN, value):
        return value
    raise ValueError(
        'expected an address such as "https://example.com/v1", without a user name, password or fragment'
    )


def _duration_schema(pattern: str, bound: str) -> dict[str, object]:
    return {
        "anyOf": [{"type": "string", "pattern": pattern}, {"type": "number", bound: 0}],
        "examples": ["20s", "500ms", "2m", 1.5],
    }


Duration: TypeAlias = Annotated[
    float,
    BeforeValidator(_positive_duration),
    # The look-ahead is what "longer than 0" means for a text.
    WithJsonSchema(_duration_schema(DURATION_PATTERN.replace("^", "^(?=.*[1-9])", 1), "exclusiveMinimum")),
]
DurationOrZero: TypeAlias = Annotated[
    float, BeforeValidator(parse_duration), WithJsonSchema(_duration_schema(DURATION_PATTERN, "minimum"))
]
Money: TypeAlias = Annotated[
    float,
    BeforeValidator(_money),
    WithJsonSchema(
        {"anyOf": [{"type": "string", "pattern": _MONEY_PATTERN}, {"type": "number", "minimum": 0}]}
    ),
]
SecretReference: TypeAlias = Annotated[
    str,
    BeforeValidator(check_reference),
    WithJsonSchema({"type": "string", "pattern": REFERENCE_PATTERN, "examples": ["env:OPENAI_API_KEY"]}),
]
BaseUrl: TypeAlias = Annotated[
    str, BeforeValidator(_base_url), WithJsonSchema({"type": "string", "pattern": BASE_URL_PATTERN})
]
Name: TypeAlias = Annotated[str, Field(pattern=NAME_PATTERN)]
Text: TypeAlias = Annotated[str, Field(min_length=1)]
Count: TypeAlias = Annotated[int, Field(ge=1)]
Ratio: TypeAlias = Annotated[float, Field(gt=0, le=1)]
KindName: TypeAlias = Literal[
    "connection",
    "timeout",
    "rate_limited",
    "quota_exhausted",
    "overloaded",
    "server_error",
    "authentication",
    "model_unavailable",
    "context_overflow",
    "content_filtered",
    "bad_request",
    "invalid_output",
    "stream_interrupted",
    "unknown",
]
"""The failure kinds a file may remap; `cancelled` and `local` are nobody's to change."""


@with_config(_STRICT)
class PriceTable(TypedDict, total=False):
    """What tokens cost. A model without a price has an unknown cost, never a cost of 0."""

    input: Required[Money]
    """Price of `per` input tokens, for example "1.25"."""
    output: Required[Money]
    """Price of `per` output tokens."""
    cached_input: Money
    """Price of `per` input tokens that came from the provider's cache."""
    per: Count
    """Number of tokens the prices are for."""
    currency: Annotated[str, Field(pattern=CURRENCY_PATTERN)]
    """ISO 4217 code of the currency."""


@with_config(_STRICT)
class TimeoutsTable(TypedDict, total=False):
    """How long the phases of one attempt may take."""

    connect: Duration
    """Until a connection stands, TLS included."""
    first_token: Duration
    """From the start of a streamed attempt to its first content."""
    idle: Duration
    """Between two pieces of content of a stream."""
    attempt: Duration
    """One attempt from start to end. A chosen one must fit the deadline; the default is capped by it."""


@with_config(_STRICT)
class ModelTable(TypedDict, total=False):
    """One model that can answer."""

    provider: Required[Text]
    """Who serves it: openai, openai-responses, anthropic, gemini, ollama, on-device, canned, or an installed entry point of the
    group `resilient_ai.models`."""
    model: Text
    """The model's name, as the provider knows it."""
    api_key: SecretReference
    """Where the key is: "env:NAME" or "file:PATH". A key itself is an error."""
    base_url: BaseUrl
    """Address of the server, for any compatible one."""
    context_tokens: Count
    """Size of the context window, in tokens."""
    data_classes: Annotated[list[DataClassName], Field(min_length=1)]
    """Classes of data the model may see; all when absent."""
    price: PriceTable
    """What its tokens cost."""
    timeouts: TimeoutsTable
    """Timeouts of this model; they take precedence over the chain's."""
    path: Text
    """File of a model on the device. A relative path starts at the directory of the configuration file."""
    text: Text
    """The fixed answer of a canned model, the end of a chain that must say something."""
    capabilities: list[Text]
    """What a model on the device can do beyond chat."""
    max_tokens: Count
    """Most tokens of an answer of a model on the device, whatever a request asks for."""
    sha256: Annotated[str, Field(pattern=SHA256_PATTERN)]
    """Digest the file of a model on the device must have, in hexadecimal."""
    threads: Count
    """Threads a model on the device computes with."""
    slots: Count
    """Requests a model on the device answers at a time."""
    idle_seconds: Count
    """Seconds without a request after which a model on the device gives its memory back."""
    options: dict[str, object]
    """Further arguments for a model of an installed entry point."""


@with_config(_STRICT)
class RetryTable(TypedDict, total=False):
    """How often and after what pause the same model is asked again."""

    attempts: Count
    """Requests to one model in one call, the first included."""
    base: DurationOrZero
    """The n-th retry waits a random time up to base x 2^(n-1)."""
    cap: DurationOrZero
    """Upper bound of that pause."""


@with_config(_STRICT)
class BreakerTable(TypedDict, total=False):
    """When a failing model is left alone, and for how long."""

    window: Duration
    """Time over which attempts are counted; at least twice the attempt timeout."""
    failure_ratio: Ratio
    """Share of failed attempts in the window that opens the breaker."""
    min_calls: Count
    """Attempts in the window below which the ratio says nothing."""
    consecutive: Count
    """Failures in a row that open the breaker whatever the ratio is."""
    open_for: Duration
    """How long the breaker stays open at first."""
    open_for_max: Duration
    """Upper bound of the time it stays open, which doubles with every failed probe."""
    probes: Count
    """Attempts let through at a time when it is half open."""
    successes: Count
    """Successful probes that close it."""
    slow: Duration
    """Time beyond which an answer (of a stream: its first content) counts as a failure for the ratio."""
    enabled: bool
    """False lets everything through."""


@with_config(_STRICT)
class BudgetTable(TypedDict, total=False):
    """How many retries all callers of a model may spend together."""

    capacity: Annotated[float, Field(ge=0)]
    """Tokens of a full bucket; 0 leaves only the floor."""
    retry_cost: Annotated[float, Field(ge=0)]
    """Tokens a retry draws."""
    throttled_cost: Annotated[float, Field(ge=0)]
    """Tokens a retry after a rate limit draws."""
    refund: Annotated[float, Field(ge=0)]
    """Tokens a success at the first attempt pays back."""
    floor: Annotated[int, Field(ge=0)]
    """Retries allowed in every `floor_seconds` even from an empty bucket."""
    floor_seconds: Duration
    """The floor's window."""
    enabled: bool
    """False lifts the budget altogether."""


@with_config(_STRICT)
class LimitsTable(TypedDict, total=False):
    """Bounds on what is sent."""

    concurrency: Count
    """Calls of the chain in flight at a time."""
    queue: Annotated[int, Field(ge=0)]
    """Calls that may wait for a place; one more is shed."""
    requests_per_minute: Annotated[float, Field(gt=0)]
    """Attempts a minute at one model."""
    tokens_per_minute: Annotated[float, Field(gt=0)]
    """Tokens a minute at one model."""


@with_config(_STRICT)
class ThrottleTable(TypedDict, total=False):
    """How much of what a model refuses for load is kept from it; an empty table takes the defaults. Nothing is kept back without one."""

    k: Annotated[float, Field(ge=1)]
    """Requests let out for each one accepted. The nearer to 1, the less the model has to refuse."""
    window: Duration
    """Time over which requests and refusals are counted."""
    min_requests: Count
    """Requests the window must hold before any is rejected."""
    most: Ratio
    """Highest share that is rejected; the rest finds out when the model is back."""
    enabled: bool
    """False lets everything through."""


@with_config(_STRICT)
class HedgeTable(TypedDict, total=False):
    """When a second request is sent beside one that is late; an empty table takes the defaults. None is sent without one."""

    after: Duration
    """Time without an answer after which it is sent; when absent, the 95th percentile of the model's own answers."""
    at_most: Annotated[int, Field(ge=1, le=3)]
    """Requests sent beside each request, each `after` later than the one before."""
    enabled: bool
    """False sends none."""


@with_config(_STRICT)
class MaxCostTable(TypedDict, total=False):
    """What may be spent. A model that would pass a bound is not asked; every model asked over the network needs a price then."""

    per_call: Money
    """Most one call may cost, over all its attempts."""
    per_window: Money
    """Most all calls of the chain may cost within `window`."""
    window: Duration
    """Length of the window that moves with time."""
    currency: Annotated[str, Field(pattern=CURRENCY_PATTERN)]
    """ISO 4217 code of both amounts; the prices of the models must be in it."""


@with_config(_STRICT)
class ChainTable(TypedDict, total=False):
    """Models in the order they are asked, and the policies around them."""

    extends: Name
    """Chain whose settings this one takes over and changes. "default" is the library's own unless the file has one."""
    models: Annotated[list[Name], Field(min_length=1)]
    """Names of [models.*] tables, first choice first."""
    deadline: Duration
    """Time a whole call may take, over all attempts at all models."""
    reserve: DurationOrZero
    """Time kept for each model behind the one being asked; learned from how long they take when absent."""
    retry: RetryTable
    """Attempts and pauses."""
    timeouts: TimeoutsTable
    """Timeouts of one attempt."""
    breaker: BreakerTable
    """When a failing model is left alone."""
    budget: BudgetTable
    """How many retries all callers may spend together."""
    limits: LimitsTable
    """How many calls and attempts there may be at a time and a minute."""
    throttle: ThrottleTable
    """How much of what a model refuses for load is kept from it."""
    hedge: HedgeTable
    """When a second request is sent beside one that is late. Not for the calls of `wrap`, and never for functions."""
    max_cost: MaxCostTable
    """What a call, and all calls of the chain in a window, may cost at most."""
    on: dict[KindName, Action]
    """What to do about a kind of failure, instead of the default."""
    on_interrupt: OnInterrupt
    """What to do when a stream breaks after content was delivered."""
    when_all_open: WhenAllOpen
    """What to do when every model's breaker is open."""


@with_config(_STRICT)
class TelemetryTable(TypedDict, total=False):
    """What is told to the outside about calls: the arguments of `observe()`."""

    logs: Literal["json", "console", "off"]
    """Form of the log lines, one a call and one for each thing that went wrong in it."""
    log_file: Text
    """File to append log lines to, from the directory of the configuration file; standard error when absent."""
    log_level: Literal["debug", "info", "warning", "error"]
    """Below it no lines are written."""
    spans: bool
    """Whether OpenTelemetry spans are made."""
    span_file: Text
    """File to append finished spans to, from the directory of the configuration file."""
    attempt_spans: Literal["failed", "all", "none"]
    """Which attempts have spans of their own."""
    metrics: bool
    """Whether OpenTelemetry metrics are recorded."""
    prometheus_port: Annotated[int, Field(ge=1, le=65535)]
    """Port to serve metrics on, for Prometheus to fetch."""
    otlp: BaseUrl
    """Endpoint to send spans and metrics to by OTLP over HTTP; left to the OTEL_* variables when absent."""
    currency: Annotated[str, Field(pattern=CURRENCY_PATTERN)]
    """ISO 4217 code of what the prices of the models are in."""


@with_config(_STRICT)
class PrivacyTable(TypedDict, total=False):
    """What must not leave the process: in a log line, a span or a metric, or to a model that is not cleared for it."""

    known_values: list[SecretReference]
    """Secrets of the application besides the models' keys, by where they are: matched exactly, wherever they turn up."""
    pseudonymise: Annotated[list[DataClassName], Field(min_length=1)]
    """Data classes whose requests a model that is not cleared for them gets with placeholders for personal data; it is skipped when
    absent."""
    redact_logging: bool
    """Whether what other code logs through the handlers of the root logger is redacted too."""


@with_config(_STRICT)
class AuditTable(TypedDict, total=False):
    """The record of calls that auditors read: one sealed line a call, without content."""

    file: Required[Text]
    """File that records are appended to, from the directory of the configuration file."""
    key: SecretReference
    """Where the key is that seals the lines and makes fingerprints of what was asked and answered; 16 characters at least."""
    fsync: Literal["never", "always"]
    """Whether every record is on the disk before its call returns."""
    required: bool
    """Whether the chains of this file refuse to be built where no audit trail is kept."""


_FileTable = TypedDict(
    "_FileTable",
    {
        "$schema": str,
    },
    total=False,
)


@with_config(_STRICT)
class FileTable(_FileTable, total=False):
    """Settings of resilient_ai: the models that can answer, and the chains that ask them."""

    version: Literal[1]
    """Version of this schema."""
    models: dict[Name, ModelTable]
    """Models that can answer, by a name of your own."""
    chains: dict[Name, ChainTable]
    """Chains of models, by the name that calls are made with."""
    telemetry: TelemetryTable
    """Log lines, spans and metrics of calls."""
    privacy: PrivacyTable
    """Values that redaction has to know."""
    audit: AuditTable
    """The record of calls for auditors."""


FILE: Final[TypeAdapter[FileTable]] = TypeAdapter(FileTable)
"""Validates a whole file."""
CHAIN: Final[TypeAdapter[ChainTable]] = TypeAdapter(ChainTable)
"""Validates one chain, as laid over those it extends."""
