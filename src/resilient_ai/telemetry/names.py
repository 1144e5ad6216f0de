"""Every name this library writes into a span, a metric or a log line, in one place.

The `gen_ai.*` names follow the OpenTelemetry semantic conventions for generative AI, which are still in development and
will be renamed: a rename is an edit here and of the pinned test, nowhere else. The tables `SPANS`, `METRICS` and
`LOG_EVENTS` are what docs/telemetry.md is written from. Pure data: nothing is imported here but the vocabulary.

Source: https://github.com/open-telemetry/semantic-conventions-genai (docs/gen-ai/gen-ai-spans.md, gen-ai-metrics.md).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal, TypeAlias, final

from resilient_ai.core.events import ERROR_TYPES
from resilient_ai.core.failure import FailureKind

SCOPE: Final = "resilient_ai"
"""Name of the instrumentation scope of our tracer and our meter."""

SCHEMA_URL: Final = "https://opentelemetry.io/schemas/gen-ai/1.42.0"
"""The version of the conventions the names below were taken from. Source: the conventions' README."""

# --- Spans -----------------------------------------------------------------------------------------------------------
SPAN_REQUEST: Final = "resilient_ai.request"
SPAN_ATTEMPT: Final = "resilient_ai.attempt"
OPERATION_CHAT: Final = "chat"
"""Value of `gen_ai.operation.name`, and the first word of a model's span name."""

# --- Attributes of the GenAI conventions -----------------------------------------------------------------------------
OPERATION_NAME: Final = "gen_ai.operation.name"
PROVIDER_NAME: Final = "gen_ai.provider.name"
REQUEST_MODEL: Final = "gen_ai.request.model"
REQUEST_MAX_TOKENS: Final = "gen_ai.request.max_tokens"
REQUEST_TEMPERATURE: Final = "gen_ai.request.temperature"
REQUEST_TOP_P: Final = "gen_ai.request.top_p"
REQUEST_SEED: Final = "gen_ai.request.seed"
REQUEST_STREAM: Final = "gen_ai.request.stream"
RESPONSE_ID: Final = "gen_ai.response.id"
RESPONSE_MODEL: Final = "gen_ai.response.model"
RESPONSE_FINISH_REASONS: Final = "gen_ai.response.finish_reasons"
RESPONSE_TIME_TO_FIRST_CHUNK: Final = "gen_ai.response.time_to_first_chunk"
USAGE_INPUT_TOKENS: Final = "gen_ai.usage.input_tokens"
USAGE_OUTPUT_TOKENS: Final = "gen_ai.usage.output_tokens"
USAGE_CACHE_READ: Final = "gen_ai.usage.cache_read.input_tokens"
USAGE_CACHE_CREATION: Final = "gen_ai.usage.cache_creation.input_tokens"
USAGE_REASONING: Final = "gen_ai.usage.reasoning.output_tokens"
OUTPUT_TYPE: Final = "gen_ai.output.type"
TOKEN_TYPE: Final = "gen_ai.token.type"  # noqa: S105 - the kind of a language model's token
EVALUATION_NAME: Final = "gen_ai.evaluation.name"
EVALUATION_LABEL: Final = "gen_ai.evaluation.score.label"

# --- Attributes of the general conventions ---------------------------------------------------------------------------
ERROR_TYPE: Final = "error.type"
SERVER_ADDRESS: Final = "server.address"
SERVER_PORT: Final = "server.port"
HTTP_STATUS: Final = "http.response.status_code"

# --- Attributes of ours ----------------------------------------------------------------------------------------------
CHAIN: Final = "resilient_ai.chain"
OPERATION: Final = "resilient_ai.operation"
OUTCOME: Final = "resilient_ai.outcome"
SERVED_BY: Final = "resilient_ai.served_by"
ATTEMPTS: Final = "resilient_ai.attempts"
FALLBACKS: Final = "resilient_ai.fallbacks"
DEADLINE: Final = "resilient_ai.deadline"
LATE: Final = "resilient_ai.late"
POLICY: Final = "resilient_ai.policy"
FLAGS: Final = "resilient_ai.flags"
ATTEMPT_N: Final = "resilient_ai.attempt.n"
ATTEMPT_VERDICT: Final = "resilient_ai.attempt.verdict"
ATTEMPT_WAITED: Final = "resilient_ai.attempt.waited"
ATTEMPT_RETRY_AFTER: Final = "resilient_ai.attempt.retry_after"
ATTEMPT_CODE: Final = "resilient_ai.attempt.code"
ATTEMPT_REQUEST_ID: Final = "resilient_ai.attempt.request_id"
REASON: Final = "resilient_ai.reason"
RETRY_AFTER: Final = "resilient_ai.retry_after"
FALLBACK_FROM: Final = "resilient_ai.fallback.from"
FALLBACK_TO: Final = "resilient_ai.fallback.to"
STATE: Final = "resilient_ai.circuit_breaker.state"
STATE_OLD: Final = "resilient_ai.circuit_breaker.from"
STATE_NEW: Final = "resilient_ai.circuit_breaker.to"
VALIDATION_NAME: Final = "resilient_ai.validation.name"
VALIDATION_RESULT: Final = "resilient_ai.validation.result"
VALIDATION_ACTION: Final = "resilient_ai.validation.action"
CURRENCY: Final = "resilient_ai.currency"
OBSERVER: Final = "resilient_ai.observer"

# --- Span events -----------------------------------------------------------------------------------------------------
EVENT_SKIPPED: Final = "resilient_ai.model_skipped"
EVENT_FALLBACK: Final = "resilient_ai.fallback"
EVENT_RETRY_SUPPRESSED: Final = "resilient_ai.retry_suppressed"
EVENT_HEDGE_SUPPRESSED: Final = "resilient_ai.hedge_suppressed"
EVENT_HINT_IGNORED: Final = "resilient_ai.hint_ignored"
EVENT_EVALUATION: Final = "gen_ai.evaluation.result"

# --- Metrics ---------------------------------------------------------------------------------------------------------
METRIC_OPERATION_DURATION: Final = "gen_ai.client.operation.duration"
METRIC_TOKEN_USAGE: Final = "gen_ai.client.token.usage"  # noqa: S105 - as above
METRIC_FIRST_CHUNK: Final = "gen_ai.client.operation.time_to_first_chunk"
METRIC_PER_CHUNK: Final = "gen_ai.client.operation.time_per_output_chunk"
METRIC_REQUEST_DURATION: Final = "resilient_ai.request.duration"
METRIC_ATTEMPTS: Final = "resilient_ai.attempts"
METRIC_RETRY_DELAY: Final = "resilient_ai.retry.delay"
METRIC_RETRY_SUPPRESSED: Final = "resilient_ai.retry.suppressed"
METRIC_HEDGE_SUPPRESSED: Final = "resilient_ai.hedge.suppressed"
METRIC_FALLBACKS: Final = "resilient_ai.fallbacks"
METRIC_BREAKER_STATE: Final = "resilient_ai.circuit_breaker.state"
METRIC_BREAKER_TRANSITIONS: Final = "resilient_ai.circuit_breaker.transitions"
METRIC_BREAKER_REJECTIONS: Final = "resilient_ai.circuit_breaker.rejections"
METRIC_THROTTLE_REJECTIONS: Final = "resilient_ai.throttle.rejections"
METRIC_ACTIVE: Final = "resilient_ai.requests.active"
METRIC_VALIDATIONS: Final = "resilient_ai.validations"
METRIC_ALERTS: Final = "resilient_ai.alerts"
METRIC_COST: Final = "resilient_ai.cost"
METRIC_REDACTIONS: Final = "resilient_ai.redactions"
METRIC_REDACTION_ERRORS: Final = "resilient_ai.redaction.errors"
METRIC_OBSERVER_ERRORS: Final = "resilient_ai.observer.errors"
METRIC_AUDIT_RECORDS: Final = "resilient_ai.audit.records"
METRIC_AUDIT_ERRORS: Final = "resilient_ai.audit.errors"

SECONDS_BUCKETS: Final = tuple(0.01 * 2**n for n in range(16))
"""0.01 s doubling to 327.68 s: the conventions' boundaries, which end at 81.92 s, and two more for long generations."""

TOKEN_BUCKETS: Final = tuple(4**n for n in range(14))
"""1 to 67 108 864, each four times the one before. Source: the conventions, gen_ai.client.token.usage."""

# --- Log events ------------------------------------------------------------------------------------------------------
LOG_CALL_FINISHED: Final = "call.finished"
LOG_ATTEMPT_FAILED: Final = "attempt.failed"
LOG_FALLBACK_USED: Final = "fallback.used"
LOG_BREAKER_CHANGED: Final = "breaker.changed"
LOG_BUDGET_EXHAUSTED: Final = "budget.exhausted"
LOG_ALERT_RAISED: Final = "alert.raised"
LOG_CONFIG_LOADED: Final = "config.loaded"

# --- Audit records ---------------------------------------------------------------------------------------------------
AUDIT_OPENED: Final = "opened"
AUDIT_CLOSED: Final = "closed"
AUDIT_CALL: Final = "call"
AUDIT_BREAKER: Final = "breaker"
AUDIT_ALERT: Final = "alert"
AUDIT_CONFIG: Final = "config"
UNFINISHED: Final = "unfinished"
"""Outcome, in an audit record only, of a call that was under way when the watching ended."""

# --- Closed lists of values ------------------------------------------------------------------------------------------
OUTCOMES: Final = ("ok", "degraded", "error")
BREAKER_STATES: Final = ("closed", "open", "half-open", "forced-open", "disabled")
CANCELLED: Final = FailureKind.CANCELLED.value
"""The `error.type` of a call its caller left: told apart, and nobody's failure."""
OTHER: Final = "_OTHER"
"""Stands for every value outside a closed list, and for every name past the bound of a metric's label."""

PROVIDERS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "azure": "azure.ai.openai",
        "azure-openai": "azure.ai.openai",
        "bedrock": "aws.bedrock",
        "gemini": "gcp.gemini",
        "google": "gcp.gemini",
        "mistral": "mistral_ai",
        "moonshot": "moonshot_ai",
        "vertex": "gcp.vertex_ai",
        "watsonx": "ibm.watsonx.ai",
        "xai": "x_ai",
    }
)
"""Our names of providers that the conventions know under another; every other name is written as it is."""


def error_type(value: str | None) -> str:
    """`value` if it is of the closed list of `error.type`, otherwise `_OTHER`."""
    return OTHER if value is None or value not in ERROR_TYPES else value


def outcome(*, error: str | None, degraded: bool) -> str:
    """How a call ended, as one of `OUTCOMES`."""
    if error is not None:
        return "error"
    return "degraded" if degraded else "ok"


# --- What is written, as tables --------------------------------------------------------------------------------------
Instrument: TypeAlias = Literal["histogram", "counter", "up-down counter", "gauge"]


@final
@dataclass(frozen=True, slots=True)
class SpanRow:
    """A span this library makes. `events` are the span events it may carry."""

    name: str
    kind: str
    parent: str
    covers: str
    at_start: tuple[str, ...]
    at_end: tuple[str, ...]
    events: tuple[str, ...] = ()


@final
@dataclass(frozen=True, slots=True)
class MetricRow:
    """A metric this library records. `unit` is UCUM; `buckets` are advised, a view may replace them."""

    name: str
    instrument: Instrument
    unit: str
    labels: tuple[str, ...]
    description: str
    buckets: tuple[float, ...] = ()


@final
@dataclass(frozen=True, slots=True)
class LogRow:
    """A log line this library writes. Every key is always there; `null` says that nothing is known."""

    event: str
    levels: str
    keys: tuple[str, ...]
    meaning: str


@final
@dataclass(frozen=True, slots=True)
class AuditRow:
    """A record of an audit trail. Every key is always there; `null` says that nothing is known."""

    record: str
    keys: tuple[str, ...]
    meaning: str


_MODEL = (OPERATION_NAME, PROVIDER_NAME, REQUEST_MODEL, RESPONSE_MODEL, SERVER_ADDRESS, SERVER_PORT)

SPANS: Final = (
    SpanRow(
        SPAN_REQUEST,
        "INTERNAL",
        "the application's span",
        "One call, whoever answered it.",
        (CHAIN, OPERATION, DEADLINE, POLICY),
        (OUTCOME, SERVED_BY, ATTEMPTS, FALLBACKS, LATE, FLAGS, ERROR_TYPE),
        (EVENT_SKIPPED, EVENT_FALLBACK),
    ),
    SpanRow(
        f"{OPERATION_CHAT} {{model}}",
        "CLIENT; INTERNAL for a model on this device",
        SPAN_REQUEST,
        "One model that was asked, with all its retries.",
        (OPERATION_NAME, PROVIDER_NAME, REQUEST_MODEL, SERVER_ADDRESS, SERVER_PORT),
        (
            *(
                REQUEST_MAX_TOKENS,
                REQUEST_TEMPERATURE,
                REQUEST_TOP_P,
                REQUEST_SEED,
                REQUEST_STREAM,
                OUTPUT_TYPE,
            ),
            *(RESPONSE_ID, RESPONSE_MODEL, RESPONSE_FINISH_REASONS, RESPONSE_TIME_TO_FIRST_CHUNK),
            *(
                USAGE_INPUT_TOKENS,
                USAGE_OUTPUT_TOKENS,
                USAGE_CACHE_READ,
                USAGE_CACHE_CREATION,
                USAGE_REASONING,
            ),
            *(ATTEMPTS, POLICY, ERROR_TYPE),
        ),
        (EVENT_RETRY_SUPPRESSED, EVENT_HEDGE_SUPPRESSED, EVENT_HINT_IGNORED, EVENT_EVALUATION),
    ),
    SpanRow(
        SPAN_ATTEMPT,
        "INTERNAL",
        f"{OPERATION_CHAT} {{model}}",
        "One request on the wire; made for an attempt that failed and for those after it.",
        (
            *(
                ATTEMPT_N,
                ATTEMPT_VERDICT,
                ATTEMPT_WAITED,
                ATTEMPT_RETRY_AFTER,
                ATTEMPT_CODE,
                ATTEMPT_REQUEST_ID,
            ),
            *(HTTP_STATUS, ERROR_TYPE),
        ),
        (),
    ),
)

METRICS: Final = (
    MetricRow(
        METRIC_OPERATION_DURATION,
        "histogram",
        "s",
        (*_MODEL, ERROR_TYPE),
        "Duration of one model's part in a call, its retries included.",
        SECONDS_BUCKETS,
    ),
    MetricRow(
        METRIC_TOKEN_USAGE,
        "histogram",
        "{token}",
        (*_MODEL, TOKEN_TYPE),
        "Tokens of one model's answer.",
        TOKEN_BUCKETS,
    ),
    MetricRow(
        METRIC_FIRST_CHUNK,
        "histogram",
        "s",
        _MODEL,
        "Time to the first content of a stream.",
        SECONDS_BUCKETS,
    ),
    MetricRow(
        METRIC_PER_CHUNK,
        "histogram",
        "s",
        _MODEL,
        "Mean time between the pieces of a stream, recorded once a stream.",
        SECONDS_BUCKETS,
    ),
    MetricRow(
        METRIC_REQUEST_DURATION,
        "histogram",
        "s",
        (CHAIN, OPERATION, OUTCOME, SERVED_BY, ERROR_TYPE),
        "Duration of a call, whoever answered it.",
        SECONDS_BUCKETS,
    ),
    MetricRow(
        METRIC_ATTEMPTS,
        "counter",
        "{attempt}",
        (PROVIDER_NAME, REQUEST_MODEL, OUTCOME, ERROR_TYPE),
        "Requests sent, by what the engine did next.",
    ),
    MetricRow(
        METRIC_RETRY_DELAY,
        "histogram",
        "s",
        (PROVIDER_NAME, REASON),
        "Pause before a retry, by the failure it waits out.",
        SECONDS_BUCKETS,
    ),
    MetricRow(
        METRIC_RETRY_SUPPRESSED,
        "counter",
        "{retry}",
        (PROVIDER_NAME, REQUEST_MODEL, REASON),
        "Retries that were allowed by the failure and did not happen.",
    ),
    MetricRow(
        METRIC_HEDGE_SUPPRESSED,
        "counter",
        "{hedge}",
        (PROVIDER_NAME, REQUEST_MODEL, REASON),
        "Second requests that an answer was late enough for, and that were not sent.",
    ),
    MetricRow(
        METRIC_FALLBACKS,
        "counter",
        "{fallback}",
        (FALLBACK_FROM, FALLBACK_TO, REASON),
        "Moves from one model to the next.",
    ),
    MetricRow(
        METRIC_BREAKER_STATE,
        "gauge",
        "",
        (PROVIDER_NAME, REQUEST_MODEL, STATE),
        "1 for the state a model's breaker is in, 0 for the others.",
    ),
    MetricRow(
        METRIC_BREAKER_TRANSITIONS,
        "counter",
        "{transition}",
        (PROVIDER_NAME, REQUEST_MODEL, STATE_OLD, STATE_NEW),
        "Changes of a breaker's state.",
    ),
    MetricRow(
        METRIC_BREAKER_REJECTIONS,
        "counter",
        "{rejection}",
        (PROVIDER_NAME, REQUEST_MODEL),
        "Models passed over because their breaker was open.",
    ),
    MetricRow(
        METRIC_THROTTLE_REJECTIONS,
        "counter",
        "{rejection}",
        (PROVIDER_NAME, REQUEST_MODEL),
        "Requests that the throttle kept from a model: first ones, retries, and others.",
    ),
    MetricRow(METRIC_ACTIVE, "up-down counter", "{request}", (CHAIN,), "Calls in flight."),
    MetricRow(
        METRIC_VALIDATIONS,
        "counter",
        "{validation}",
        (VALIDATION_NAME, VALIDATION_RESULT, VALIDATION_ACTION),
        "Answers checked.",
    ),
    MetricRow(
        METRIC_ALERTS,
        "counter",
        "{alert}",
        (PROVIDER_NAME, REQUEST_MODEL, ERROR_TYPE),
        "Failures only an operator can mend: a key, a bill, a model's name.",
    ),
    MetricRow(
        METRIC_COST,
        "counter",
        "1",
        (PROVIDER_NAME, REQUEST_MODEL, CURRENCY),
        "Money spent on attempts of a known price, failed ones included.",
    ),
    MetricRow(
        METRIC_REDACTIONS, "counter", "{value}", (), "Values changed by the redactor before they left."
    ),
    MetricRow(
        METRIC_REDACTION_ERRORS,
        "counter",
        "{error}",
        (),
        "Values replaced as a whole because the redactor failed on them.",
    ),
    MetricRow(
        METRIC_OBSERVER_ERRORS,
        "counter",
        "{error}",
        (OBSERVER,),
        "Events an observer raised on: a log line, a span or a record of yours that is missing.",
    ),
    MetricRow(METRIC_AUDIT_RECORDS, "counter", "{record}", (), "Records written to the audit trail."),
    MetricRow(
        METRIC_AUDIT_ERRORS,
        "counter",
        "{error}",
        (),
        "Records that could not be written to the audit trail.",
    ),
)

LOG_COMMON: Final = ("timestamp", "level", "event", "call", "trace_id", "span_id")
"""Keys of every log line; `call` is null on a line that belongs to no call."""

LOG_EVENTS: Final = (
    LogRow(
        LOG_CALL_FINISHED,
        "INFO; WARNING if the call needed help; ERROR if it failed",
        (
            *("chain", "outcome", "served_by", "error_type", "attempts", "failures", "skipped", "seconds"),
            *("late", "cost", "input_tokens", "output_tokens", "policy", "flags"),
        ),
        "A call ended.",
    ),
    LogRow(
        LOG_ATTEMPT_FAILED,
        "INFO",
        (
            *("provider", "model", "n", "error_type", "verdict", "status", "code", "retry_after", "waited"),
            *("seconds", "request_id"),
        ),
        "One request did not give a usable answer.",
    ),
    LogRow(LOG_FALLBACK_USED, "INFO", ("source", "target", "reason"), "A call moved on to the next model."),
    LogRow(
        LOG_BREAKER_CHANGED,
        "INFO",
        ("provider", "model", "old", "new", "reason", "open_for"),
        "A breaker changed its state.",
    ),
    LogRow(
        LOG_BUDGET_EXHAUSTED,
        "INFO",
        ("provider", "model"),
        "A retry was left out, because too many of the recent calls were retries already.",
    ),
    LogRow(
        LOG_ALERT_RAISED,
        "INFO",
        ("provider", "model", "error_type"),
        "An operator has to act: a key is refused, a quota is spent, a model is gone.",
    ),
    LogRow(
        LOG_CONFIG_LOADED, "INFO", ("source", "policy", "chains", "models"), "A configuration is in force."
    ),
)

AUDIT_COMMON: Final = ("n", "at", "record", "process", "seal")
"""Keys of every audit record; one that follows records that could not be written says how many, as `lost`."""

AUDIT_RECORDS: Final = (
    AuditRow(
        AUDIT_OPENED,
        ("version", "key", "continues"),
        "A process begins to write to this file.",
    ),
    AuditRow(
        AUDIT_CALL,
        (
            *(
                "call",
                "trace_id",
                "span_id",
                "chain",
                "operation",
                "policy",
                "data_class",
                "models",
                "deadline",
            ),
            *("prompt", "outcome", "error_type", "served_by", "seconds", "late", "cost", "currency"),
            *("attempts", "skipped", "flags", "answer"),
        ),
        "A call ended.",
    ),
    AuditRow(
        AUDIT_ALERT,
        ("provider", "model", "error_type"),
        "A key was refused, a quota is spent, or a model is gone.",
    ),
    AuditRow(
        AUDIT_BREAKER,
        ("provider", "model", "old", "new"),
        "Somebody moved a breaker by hand.",
    ),
    AuditRow(
        AUDIT_CONFIG,
        ("source", "policy", "chains", "models"),
        "A configuration came into force, at the start or by a reload.",
    ),
    AuditRow(AUDIT_CLOSED, (), "A process ended its writing in good order."),
)
