"""Provider tables: which code, status and wording means which kind of failure. Data only.

Every row was seen in a provider's documentation, its SDK or a public report of a real failure; the labelled
failures in `tests/vectors/failures.json` name the page each came from.

Codes come first because providers promise them. Wording is consulted only where no code decides, and only as the *start*
of the provider's message: a message may quote the prompt, and a prompt may say anything.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import Final, TypeAlias

from resilient_ai.core.failure import FailureKind

_Kind = FailureKind

CODES: Final[Mapping[str, FailureKind]] = {
    # Money: waiting does not mend it.
    "insufficient_quota": _Kind.QUOTA_EXHAUSTED,
    "billing_hard_limit_reached": _Kind.QUOTA_EXHAUSTED,
    "billing_not_active": _Kind.QUOTA_EXHAUSTED,
    "credit_balance_exhausted": _Kind.QUOTA_EXHAUSTED,
    "organization_spend_limit_exceeded": _Kind.QUOTA_EXHAUSTED,
    "project_spend_limit_exceeded": _Kind.QUOTA_EXHAUSTED,
    "spend_limit_exceeded": _Kind.QUOTA_EXHAUSTED,
    "quota_exceeded": _Kind.QUOTA_EXHAUSTED,
    "quota_exhausted": _Kind.QUOTA_EXHAUSTED,
    "usage_limit_reached": _Kind.QUOTA_EXHAUSTED,
    "billing_error": _Kind.QUOTA_EXHAUSTED,
    "billing_disabled": _Kind.QUOTA_EXHAUSTED,
    "enforced_spend_limit_reached": _Kind.QUOTA_EXHAUSTED,
    "contract_spend_limit_reached": _Kind.QUOTA_EXHAUSTED,
    "linked_organization_spend_limit_reached": _Kind.QUOTA_EXHAUSTED,
    "linked_organization_billing_unavailable": _Kind.QUOTA_EXHAUSTED,
    "payment_required": _Kind.QUOTA_EXHAUSTED,
    "insufficient_credits": _Kind.QUOTA_EXHAUSTED,
    "insufficient_balance": _Kind.QUOTA_EXHAUSTED,
    "not_enough_balance": _Kind.QUOTA_EXHAUSTED,
    "credit_limit": _Kind.QUOTA_EXHAUSTED,
    "exceeded_current_quota_error": _Kind.QUOTA_EXHAUSTED,
    "arrearage": _Kind.QUOTA_EXHAUSTED,
    "servicequotaexceededexception": _Kind.QUOTA_EXHAUSTED,
    "budget_exceeded": _Kind.QUOTA_EXHAUSTED,
    # Pace.
    "rate_limit_exceeded": _Kind.RATE_LIMITED,
    "rate_limit_error": _Kind.RATE_LIMITED,
    "rate_limit_reached_error": _Kind.RATE_LIMITED,
    "rate_limit_reached": _Kind.RATE_LIMITED,
    "rate_limited": _Kind.RATE_LIMITED,
    "ratelimitreached": _Kind.RATE_LIMITED,
    "ratelimiterror": _Kind.RATE_LIMITED,
    "rate_limit": _Kind.RATE_LIMITED,
    "ratelimitexceeded": _Kind.RATE_LIMITED,
    "ramp_limit_exceeded": _Kind.RATE_LIMITED,
    "model_rate_limit": _Kind.RATE_LIMITED,
    "dynamic_request_limited": _Kind.RATE_LIMITED,
    "dynamic_token_limited": _Kind.RATE_LIMITED,
    "throttling_error": _Kind.RATE_LIMITED,
    "throttlingexception": _Kind.RATE_LIMITED,
    "throttling": _Kind.RATE_LIMITED,
    "throttling.ratequota": _Kind.RATE_LIMITED,
    "throttling.allocationquota": _Kind.RATE_LIMITED,
    "throttling.burstrate": _Kind.RATE_LIMITED,
    "toomanyrequestsexception": _Kind.RATE_LIMITED,
    "too_many_requests": _Kind.RATE_LIMITED,
    "toomanyrequests": _Kind.RATE_LIMITED,
    "request_quota_exceeded": _Kind.RATE_LIMITED,
    "token_quota_exceeded": _Kind.RATE_LIMITED,
    "too_many_tokens_error": _Kind.RATE_LIMITED,
    "resource_exhausted": _Kind.RATE_LIMITED,
    # Load.
    "overloaded_error": _Kind.OVERLOADED,
    "overloaded": _Kind.OVERLOADED,
    "engine_overloaded_error": _Kind.OVERLOADED,
    "server_is_overloaded": _Kind.OVERLOADED,
    "service_unavailable_error": _Kind.OVERLOADED,
    "service_unavailable": _Kind.OVERLOADED,
    "serviceunavailableexception": _Kind.OVERLOADED,
    "modelnotreadyexception": _Kind.OVERLOADED,
    "model_capacity_exhausted": _Kind.OVERLOADED,
    "capacity_exceeded": _Kind.OVERLOADED,
    "queue_exceeded": _Kind.OVERLOADED,
    "no_capacity": _Kind.OVERLOADED,
    "provider_overloaded": _Kind.OVERLOADED,
    "provider_unavailable": _Kind.OVERLOADED,
    "unavailable_error": _Kind.OVERLOADED,
    "unavailable": _Kind.OVERLOADED,
    "slowdown": _Kind.OVERLOADED,
    # Size.
    "context_length_exceeded": _Kind.CONTEXT_OVERFLOW,
    "context_length_exceeded_error": _Kind.CONTEXT_OVERFLOW,
    "context_window_exceeded": _Kind.CONTEXT_OVERFLOW,
    "model_context_window_exceeded": _Kind.CONTEXT_OVERFLOW,
    "exceed_context_size_error": _Kind.CONTEXT_OVERFLOW,
    "request_too_large": _Kind.CONTEXT_OVERFLOW,
    "request_body_too_large_after_decoding": _Kind.CONTEXT_OVERFLOW,
    "payload_too_large": _Kind.CONTEXT_OVERFLOW,
    "tokens_limit_reached": _Kind.CONTEXT_OVERFLOW,
    "max_tokens_exceeded": _Kind.CONTEXT_OVERFLOW,
    "input_too_long": _Kind.CONTEXT_OVERFLOW,
    "prompt_too_long": _Kind.CONTEXT_OVERFLOW,
    # Policy.
    "content_filter": _Kind.CONTENT_FILTERED,
    "content_policy_violation": _Kind.CONTENT_FILTERED,
    "responsibleaipolicyviolation": _Kind.CONTENT_FILTERED,
    "moderation_blocked": _Kind.CONTENT_FILTERED,
    "image_content_policy_violation": _Kind.CONTENT_FILTERED,
    "misalignment_policy_violation": _Kind.CONTENT_FILTERED,
    "bio_policy": _Kind.CONTENT_FILTERED,
    "cyber_policy": _Kind.CONTENT_FILTERED,
    "refusal": _Kind.CONTENT_FILTERED,
    "data_inspection_failed": _Kind.CONTENT_FILTERED,
    "datainspectionfailed": _Kind.CONTENT_FILTERED,
    "content_blocked": _Kind.CONTENT_FILTERED,
    # Keys and rights.
    "invalid_api_key": _Kind.AUTHENTICATION,
    "wrong_api_key": _Kind.AUTHENTICATION,
    "api_key_invalid": _Kind.AUTHENTICATION,
    "invalid_authentication_error": _Kind.AUTHENTICATION,
    "incorrect_api_key_error": _Kind.AUTHENTICATION,
    "authentication_error": _Kind.AUTHENTICATION,
    "authentication": _Kind.AUTHENTICATION,
    "authenticationerror": _Kind.AUTHENTICATION,
    "permission_error": _Kind.AUTHENTICATION,
    "permission_denied": _Kind.AUTHENTICATION,
    "permission_denied_error": _Kind.AUTHENTICATION,
    "unauthenticated": _Kind.AUTHENTICATION,
    "unauthorized": _Kind.AUTHENTICATION,
    "invalid_organization": _Kind.AUTHENTICATION,
    "mismatched_organization": _Kind.AUTHENTICATION,
    "account_deactivated": _Kind.AUTHENTICATION,
    "access_terminated": _Kind.AUTHENTICATION,
    "organization_on_hold": _Kind.AUTHENTICATION,
    "ip_not_authorized": _Kind.AUTHENTICATION,
    "unsupported_country_region_territory": _Kind.AUTHENTICATION,
    "missing_scope": _Kind.AUTHENTICATION,
    "invalid_grant": _Kind.AUTHENTICATION,
    "service_disabled": _Kind.AUTHENTICATION,
    "api_key_service_blocked": _Kind.AUTHENTICATION,
    "consumer_suspended": _Kind.AUTHENTICATION,
    "accessdeniedexception": _Kind.AUTHENTICATION,
    "unrecognizedclientexception": _Kind.AUTHENTICATION,
    "expiredtokenexception": _Kind.AUTHENTICATION,
    "expiredtoken": _Kind.AUTHENTICATION,
    "invalidsignatureexception": _Kind.AUTHENTICATION,
    "incompletesignature": _Kind.AUTHENTICATION,
    "missingauthenticationtoken": _Kind.AUTHENTICATION,
    "missingauthenticationtokenexception": _Kind.AUTHENTICATION,
    "invalidclienttokenid": _Kind.AUTHENTICATION,
    "optinrequired": _Kind.AUTHENTICATION,
    "invalidapikey": _Kind.AUTHENTICATION,
    # The model itself.
    "model_not_found": _Kind.MODEL_UNAVAILABLE,
    "model_not_available": _Kind.MODEL_UNAVAILABLE,
    "model_not_supported": _Kind.MODEL_UNAVAILABLE,
    "model_not_exist": _Kind.MODEL_UNAVAILABLE,
    "model_decommissioned": _Kind.MODEL_UNAVAILABLE,
    "model_deprecated": _Kind.MODEL_UNAVAILABLE,
    "model_terms_required": _Kind.MODEL_UNAVAILABLE,
    "model_permission_blocked_org": _Kind.MODEL_UNAVAILABLE,
    "model_permission_blocked_project": _Kind.MODEL_UNAVAILABLE,
    "modelnotfound": _Kind.MODEL_UNAVAILABLE,
    "unknown_model": _Kind.MODEL_UNAVAILABLE,
    "unavailable_model": _Kind.MODEL_UNAVAILABLE,
    "invalid_model": _Kind.MODEL_UNAVAILABLE,
    "no_such_model": _Kind.MODEL_UNAVAILABLE,
    "deploymentnotfound": _Kind.MODEL_UNAVAILABLE,
    "resource_not_found_error": _Kind.MODEL_UNAVAILABLE,
    "resourcenotfoundexception": _Kind.MODEL_UNAVAILABLE,
    "not_found_error": _Kind.MODEL_UNAVAILABLE,
    # A draw of the model that came out wrong.
    "tool_use_failed": _Kind.INVALID_OUTPUT,
    "malformed_model_output": _Kind.INVALID_OUTPUT,
    "malformed_tool_use": _Kind.INVALID_OUTPUT,
    "output_parse_failed": _Kind.INVALID_OUTPUT,
    "json_validate_failed": _Kind.INVALID_OUTPUT,
    "modelerrorexception": _Kind.SERVER_ERROR,
    "modelstreamerrorexception": _Kind.SERVER_ERROR,
    "modeltimeoutexception": _Kind.SERVER_ERROR,
    "internalserverexception": _Kind.SERVER_ERROR,
    "vector_store_timeout": _Kind.SERVER_ERROR,
}
"""Codes that decide by themselves, lower case, whatever the HTTP status says."""

GENERIC_CODES: Final[Mapping[str, FailureKind]] = {
    "invalid_request_error": _Kind.BAD_REQUEST,
    "invalid_request": _Kind.BAD_REQUEST,
    "invalid_prompt": _Kind.BAD_REQUEST,
    "invalid_argument": _Kind.BAD_REQUEST,
    "failed_precondition": _Kind.BAD_REQUEST,
    "out_of_range": _Kind.BAD_REQUEST,
    "unimplemented": _Kind.BAD_REQUEST,
    "badrequesterror": _Kind.BAD_REQUEST,
    "bad_request": _Kind.BAD_REQUEST,
    "badrequest": _Kind.BAD_REQUEST,
    "validationexception": _Kind.BAD_REQUEST,
    "validation": _Kind.BAD_REQUEST,
    "unprocessable": _Kind.BAD_REQUEST,
    "not_found": _Kind.BAD_REQUEST,
    "server_error": _Kind.SERVER_ERROR,
    "server": _Kind.SERVER_ERROR,
    "api_error": _Kind.SERVER_ERROR,
    "internal": _Kind.SERVER_ERROR,
    "internal_error": _Kind.SERVER_ERROR,
    "internal_server_error": _Kind.SERVER_ERROR,
    "internalservererror": _Kind.SERVER_ERROR,
    "unknown": _Kind.SERVER_ERROR,
    "data_loss": _Kind.SERVER_ERROR,
    "aborted": _Kind.SERVER_ERROR,
    "conflict_error": _Kind.SERVER_ERROR,
    "generation": _Kind.SERVER_ERROR,
    "incomplete_generation": _Kind.SERVER_ERROR,
    # A provider that ran out of its own time says 504 outside a stream; the same kind inside one.
    "timeout_error": _Kind.SERVER_ERROR,
    "timeout": _Kind.SERVER_ERROR,
    "deadline_exceeded": _Kind.TIMEOUT,
    "slow_down": _Kind.RATE_LIMITED,
}
"""Codes too broad to overrule an HTTP status; they decide where there is none, as in the middle of a stream."""

PROVIDER_CODES: Final[Mapping[str, Mapping[str, FailureKind]]] = {
    "mistral": {"1300": _Kind.RATE_LIMITED, "1500": _Kind.MODEL_UNAVAILABLE, "3505": _Kind.OVERLOADED},
    "cloudflare": {
        "3036": _Kind.QUOTA_EXHAUSTED,
        "3040": _Kind.OVERLOADED,
        "3041": _Kind.AUTHENTICATION,
        "5007": _Kind.MODEL_UNAVAILABLE,
        "5016": _Kind.MODEL_UNAVAILABLE,
        "5018": _Kind.MODEL_UNAVAILABLE,
        "10000": _Kind.AUTHENTICATION,
    },
    "zhipu": {
        "1113": _Kind.QUOTA_EXHAUSTED,
        "1211": _Kind.MODEL_UNAVAILABLE,
        "1261": _Kind.CONTEXT_OVERFLOW,
        "1301": _Kind.CONTENT_FILTERED,
        "1302": _Kind.RATE_LIMITED,
        "1303": _Kind.RATE_LIMITED,
        "1304": _Kind.QUOTA_EXHAUSTED,
        "1305": _Kind.OVERLOADED,
    },
    # The same word is a quota at one provider and a shape of the request at another.
    "openrouter": {"token_limit_exceeded": _Kind.QUOTA_EXHAUSTED},
}
"""Codes that mean something at one provider only."""

STATUSES: Final[Mapping[int, FailureKind]] = {
    401: _Kind.AUTHENTICATION,
    402: _Kind.QUOTA_EXHAUSTED,
    403: _Kind.AUTHENTICATION,
    # A proxy between us and every provider refuses: nothing was sent, and asking again changes nothing.
    407: _Kind.CONNECTION,
    408: _Kind.TIMEOUT,
    # A lock or a replay guard on the server's side; both SDK families retry them like a server error.
    409: _Kind.SERVER_ERROR,
    425: _Kind.SERVER_ERROR,
    429: _Kind.RATE_LIMITED,
    503: _Kind.OVERLOADED,
    529: _Kind.OVERLOADED,
}
"""What a bare status means. Other 4xx are `bad_request`, other 5xx `server_error`."""

PROVIDER_STATUSES: Final[Mapping[tuple[str, int], FailureKind]] = {
    ("groq", 498): _Kind.OVERLOADED,
    ("cohere", 498): _Kind.CONTENT_FILTERED,
    ("cohere", 499): _Kind.SERVER_ERROR,
}
"""Statuses that one provider invented."""

FINISHES: Final[Mapping[str, FailureKind]] = {
    "content_filter": _Kind.CONTENT_FILTERED,
    "content_filtered": _Kind.CONTENT_FILTERED,
    "guardrail_intervened": _Kind.CONTENT_FILTERED,
    "refusal": _Kind.CONTENT_FILTERED,
    "safety": _Kind.CONTENT_FILTERED,
    "recitation": _Kind.CONTENT_FILTERED,
    "blocklist": _Kind.CONTENT_FILTERED,
    "prohibited_content": _Kind.CONTENT_FILTERED,
    "spii": _Kind.CONTENT_FILTERED,
    "image_safety": _Kind.CONTENT_FILTERED,
    "model_armor": _Kind.CONTENT_FILTERED,
    "model_context_window_exceeded": _Kind.CONTEXT_OVERFLOW,
    "malformed_function_call": _Kind.INVALID_OUTPUT,
    "malformed_model_output": _Kind.INVALID_OUTPUT,
    "malformed_tool_use": _Kind.INVALID_OUTPUT,
    "unexpected_tool_call": _Kind.INVALID_OUTPUT,
    "too_many_tool_calls": _Kind.INVALID_OUTPUT,
    "missing_thought_signature": _Kind.INVALID_OUTPUT,
    "malformed_response": _Kind.INVALID_OUTPUT,
    "max_tokens": _Kind.INVALID_OUTPUT,
    "max_output_tokens": _Kind.INVALID_OUTPUT,
    "length": _Kind.INVALID_OUTPUT,
    "error": _Kind.SERVER_ERROR,
}
"""Why an answer stopped, where that makes it a failure. Read only when an answer was handed in as one."""


def _starts(*phrases: str) -> str:
    """One pattern of all phrases; `markers` compiles it."""
    return "|".join(f"(?:{phrase})" for phrase in phrases)


_NAME = r"[`'\"]?[\w./:@-]{1,200}[`'\"]?"

_WORDINGS: Final[tuple[tuple[FailureKind, str], ...]] = (
    (
        _Kind.QUOTA_EXHAUSTED,
        _starts(
            r"You exceeded your current quota, please check your plan and billing",
            r"Your credit balance is too low to access",
            r"You have reached your specified (?:workspace )?API usage limits",
            r"Your account (?:\S+ ){0,3}is not active, (?:please check your billing|organization \S+ exceeded)",
            r"Your account (?:\S+ ){0,3}is suspended due to insufficient balance",
            r"Account \S+ is suspended, possibly due to reaching the monthly spending limit",
            r"Your team \S+ has either used all available credits or reached its monthly spending limit",
            r"Your newly created team doesn't have any credits",
            r"You have exceeded your monthly included credits",
            r"You have depleted your monthly included credits",
            r"Insufficient (?:credits|balance|funds)\b",
            r"Credit limit exceeded",
            r"This request requires more credits, or fewer max_tokens",
            r"Billing hard limit has been reached",
            r"You have exhausted your (?:capacity on this model|daily quota)",
            r"Your prepayment credits are depleted",
            r"Gemini API free tier is not available in your country\. Please enable billing",
            r"Your project has exceeded its (?:monthly )?spending cap",
            r"Rate limit exceeded: free-models-per-day",
            r"Too many tokens per day",
            r"You are using a Trial key, which is limited to \d+ API calls ?/ ?month",
            r"You have used up your daily free allocation",
            r"You've reached your (?:weekly|monthly|daily)[^.\n]{0,40} usage limit",
            r"You have reached your (?:weekly|monthly|daily)[^.\n]{0,40} (?:usage|spend\w*) limit",
        ),
    ),
    (
        _Kind.CONTEXT_OVERFLOW,
        _starts(
            r"This (?:model|endpoint)'s maximum context length is \d+",
            r"This model maximum context length is \d+",
            r"Your input exceeds the context window of this model",
            r"prompt is too long(?:: \d+ tokens|$)",
            r"input length and `max_tokens` exceed context limit",
            r"input is too long for requested model",
            r"Request size exceeds model context window",
            r"Request exceeds the maximum size",
            r"Request (?:body )?too large for",
            r"Request Entity Too Large: .{0,80}tokens",
            r"The input token count (?:\(\d+\) )?exceeds the maximum number of tokens allowed",
            r"Unable to submit request because the input token count is \d+ but model only supports",
            r"the request exceeds the available context size",
            r"request \(\d+ tokens\) exceeds the available context size",
            r"Context size has been exceeded",
            r"Requested tokens \(\d+\) exceed context window of \d+",
            r"Trying to keep the first \d+ tokens when context the overflows",
            r"The number of tokens to keep from the initial prompt is greater than the context length",
            r"(?:the )?input length exceeds (?:the |maximum )?context length",
            r"(?:the )?prompt is too long; exceeded (?:max )?context length",
            r"Input validation error: [`']?inputs?[`']? (?:tokens \+ [`']?max_new_tokens|must have less than \d+ tokens)",
            r"Please reduce the length of the messages or completion\. Current length is \d+ while limit is \d+",
            r"Prompt contains \d+ tokens .{0,60}too large for model",
            r"too many tokens: (?:total number of tokens|size limit exceeded)",
            r"This model's maximum prompt length is \d+",
            r"The prompt \(total length \d+\) is too long",
            r"The decoder prompt \(length \d+\) is longer than the maximum model length",
            r"Input length \d+ exceeds (?:the )?(?:maximum|model's) (?:allowed )?(?:context|length)",
            r"Range of input length should be \[1, \d+\]",
            r"The estimated number of input and maximum output tokens \(\d+\) exceeded this model context window",
            r"Invalid request: Your request exceeded model token limit",
            r"The input \(\d+ tokens\) is longer than the model's context length",
            r"Input token count \+ [`']?max_tokens[`']? (?:parameter )?must be less than the context length",
            r"The engine prompt length \d+ exceeds the max_model_len",
            r"[`']max_tokens[`'] or [`']max_completion_tokens[`'] is too large: \d+\. This model's maximum context length is",
            r"You passed \d+ input tokens and requested \d+ output tokens\. However, the model's context length is only",
            r"Requested token count exceeds the model's maximum context length",
            r"Input Tokens Exceeded: Number of input tokens exceeds maximum length",
        ),
    ),
    (
        _Kind.CONTENT_FILTERED,
        _starts(
            r"The response was filtered due to the prompt triggering",
            r"Output blocked by content filtering policy",
            r"Invalid prompt: (?:your prompt|we've limited access)",
            r"Your request was (?:rejected|flagged) (?:as a result of our safety system|by)",
            r"Content violates usage guidelines",
            r"Content Exists Risk",
            r"Input data may contain inappropriate content",
            r"Output data may contain inappropriate content",
            r"The request was rejected because it was considered high risk",
            r"The prompt was blocked",
        ),
    ),
    (
        _Kind.AUTHENTICATION,
        _starts(
            r"Incorrect API key provided",
            r"Invalid API key provided",
            r"API key not valid",
            r"API key expired",
            r"Your API key was reported as leaked",
            r"API Key not found",
            r"invalid x-api-key",
            r"Authentication Fails",
            r"User location is not supported for the API use",
            r"You must be a member of an organization to use the API",
            r"The security token included in the request is (?:invalid|expired)",
        ),
    ),
    (
        _Kind.MODEL_UNAVAILABLE,
        _starts(
            rf"The model {_NAME} (?:does not exist|has been (?:decommissioned|deprecated)|is not (?:found|available))",
            rf"The requested model {_NAME} (?:is not supported|does not exist)",
            rf"The model: {_NAME} does not exist",
            rf"Model:? {_NAME} (?:does not exist|not found|is not supported|is no longer available|was not found)",
            rf"Model {_NAME} (?:is )?not found",
            rf"model {_NAME} (?:was removed|not found|is not found|does not exist)",
            r"model not found, make sure the correct model ID was used",
            r"Model not found, inaccessible, and/or not deployed",
            r"Model Not Exist",
            rf"models/{_NAME} is not found for API version",
            r"This model (?:models/)?\S{1,100} is no longer available",
            r"Publisher Model `[^`]{1,300}` (?:was )?not found",
            r"No endpoints found (?:for|that) ",
            rf"{_NAME} is not a valid model ID",
            rf"Unable to access model {_NAME}",
            rf"Not found the model {_NAME} or Permission denied",
            rf"Invalid model:? {_NAME}",
            r"The provided model identifier is invalid",
            r"You don't have access to the model with the specified model ID",
            r"Invocation of model ID \S{1,200} with on-demand throughput isn.t supported",
            r"This model version has reached the end of its life",
            r"Access denied\. This Model is marked by provider as Legacy",
            r"Could not resolve the foundation model",
            r"Project `\S{1,80}` does not have access to model",
            r"Your organization must be verified to use the model",
            r"The API deployment for this resource does not exist",
            r"No models? (?:is |are )?(?:currently )?loaded",
            r"model requires more system memory",
            r"model: \S{1,100}$",
        ),
    ),
    (
        _Kind.OVERLOADED,
        _starts(
            r"Resource exhausted[.,] Please try again later",
            r"No capacity available",
            r"That model is currently overloaded",
            r"The (?:engine|server|model|service) is (?:currently |temporarily )?(?:overloaded|out of capacity)",
            r"Model is (?:currently )?overloaded",
            r"Model is too busy",
            r"Overloaded$",
            r"Service tier capacity exceeded for this model",
            r"Service is too busy",
            r"Unable to submit request because the service is temporarily out of capacity",
            r"The system is currently experiencing high demand",
            r"Selected model is at capacity",
            rf"{_NAME} is currently over capacity",
            rf"Model {_NAME} is currently loading",
            r"Loading model",
            r"server busy, please try again",
            r"We're experiencing high traffic right now",
            r"Inference is temporarily unavailable",
        ),
    ),
    (
        _Kind.RATE_LIMITED,
        _starts(
            r"Rate limit (?:is )?(?:reached|exceeded)",
            r"Requests? rate limit exceeded",
            r"Requests to the .{1,200} have exceeded (?:the )?(?:token|call|request) rate limit",
            r"This request would exceed (?:the|your|your organization's) (?:rate limit|organization)",
            r"Number of request tokens has exceeded your",
            r"Tokens per (?:minute|second|hour) limit exceeded",
            r"Requests per (?:minute|second|hour) limit exceeded",
            r"Too many (?:requests|tokens|connections)\b",
            r"You have reached the rate limit",
            r"You are being rate limited",
            r"\S{1,120} is temporarily rate-limited upstream",
            r"Quota exceeded for .{0,200}per[ _]minute",
            r"Your account .{0,200}request reached .{0,60}(?:max|rate|TPM|RPM)",
            r"error code: 1015",
        ),
    ),
    (
        _Kind.INVALID_OUTPUT,
        _starts(
            r"Failed to call a function\. Please adjust your prompt",
            r"Failed to (?:generate|validate) JSON\. Please adjust your prompt",
            r"tool call validation failed",
        ),
    ),
)
"""Wording at the start of a message in lower case, in the order it is asked: money before pace, size before load."""

WRAPPERS: Final = re.compile(
    r"(?:(?:litellm\.\w{1,60}: )?(?:\w{1,60}Error: )?\w{1,40}Exception(?: \w{1,40}Error)? - |litellm\.\w{1,60}: "
    r"|Error from provider(?: \([^)]{1,60}\))?: |The model returned the following errors: |Upstream error from \w{1,40}: "
    r"|\(\w{1,60}\) |[45]\d\d (?=[A-Z]))+"
)
"""What routers and SDKs put in front of the provider's own message."""

LIMIT_AND_REQUEST: Final = re.compile(
    r"Rate limit reached for .{0,300}?\bLimit:? (\d{1,15}),.{0,60}? Requested:? ~?(\d{1,15})\b", re.IGNORECASE
)
"""A rate limit that names its size and the request's: one that exceeds the limit by itself never fits."""


Marker: TypeAlias = tuple[FailureKind, re.Pattern[str]]
"""A kind, and the wording (in lower case) that means it."""

_ESCAPE_OR_CAPITAL: Final = re.compile(r"\\.|[A-Z]")


@cache
def markers() -> tuple[Marker, ...]:
    """The wordings, compiled when the first failure needs them: most processes that import this never do.

    They match the start of a message in lower case. Lowering both sides once is several times cheaper than patterns that ignore
    case, because only then are branches told apart by their first letter.
    """
    return tuple((kind, re.compile(_ESCAPE_OR_CAPITAL.sub(_lowered, pattern))) for kind, pattern in _WORDINGS)


def _lowered(part: re.Match[str]) -> str:
    return part[0] if part[0].startswith("\\") else part[0].lower()


@cache
def refinements(kind: FailureKind) -> tuple[Marker, ...]:
    """The wordings that may tell more of a failure whose code says only `kind`; none for a code with one meaning."""
    kinds = _REFINED_BY.get(kind, ())
    return tuple(marker for marker in markers() if marker[0] in kinds)


_REFINED_BY: Final[Mapping[FailureKind, tuple[FailureKind, ...]]] = {
    _Kind.RATE_LIMITED: (_Kind.QUOTA_EXHAUSTED, _Kind.CONTEXT_OVERFLOW, _Kind.OVERLOADED),
    _Kind.AUTHENTICATION: (_Kind.QUOTA_EXHAUSTED, _Kind.CONTENT_FILTERED, _Kind.MODEL_UNAVAILABLE),
}
"""Codes of these kinds cover more than one meaning: quota before rate limit."""

ZERO_LIMIT: Final = re.compile(r"Quota exceeded for metric: [\w./-]{1,200}, limit: 0\b")
"""Google says with each metric what it allows; nothing at all is not a matter of waiting."""
