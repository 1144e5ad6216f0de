"""Any failure to one verdict. The only code in the library that decides what a failure is.

The order is fixed: what the body says by code, then what it says in the provider's own words, then the HTTP status; money before
pace, size before load. A header in which the provider itself says whether to retry has the last word on that, except where
waiting mends nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, TypeAlias

from resilient_ai.core.clock import SYSTEM_CLOCK, Clock
from resilient_ai.core.error_body import Body, ErrorFacts, as_list, as_object, read_body
from resilient_ai.core.exception_signs import Sign
from resilient_ai.core.exceptions import Evidence, evidence_of
from resilient_ai.core.failure import MEANINGS, FailureKind, Verdict, verdict_of
from resilient_ai.core.hints import fold_headers, quota_reset, read_hint
from resilient_ai.core.signs import (
    CODES,
    FINISHES,
    GENERIC_CODES,
    LIMIT_AND_REQUEST,
    PROVIDER_CODES,
    PROVIDER_STATUSES,
    STATUSES,
    WRAPPERS,
    ZERO_LIMIT,
    Marker,
    markers,
    refinements,
)
from resilient_ai.errors import CallError, ConfigError, InvalidRequest, ModelError

Headers: TypeAlias = "Mapping[str, str] | Mapping[str, object] | Iterable[tuple[object, object]] | None"

_Reading: TypeAlias = tuple[FailureKind, str, str | None]
"""Kind, the rule that decided, and the code it read."""

_CODE_CHARACTERS: Final = frozenset("abcdefghijklmnopqrstuvwxyz0123456789_.")
_MAX_CODE_SHOWN: Final = 64
_WORDING_CHARACTERS: Final = 512
"""How far into a message its wording is read; all of it stands at the start."""


def classify(
    failure: BaseException | None = None,
    /,
    *,
    status: int | None = None,
    headers: Headers = None,
    body: Body = None,
    provider: str | None = None,
    in_stream: bool = False,
    clock: Clock = SYSTEM_CLOCK,
) -> Verdict:
    """What a failure means, before any policy is applied. Never raises.

    Takes an exception of any library, or the parts of a response that was no usable answer. Neither the exception nor the body is
    kept, and nothing of its text is in the verdict. Safe from any thread or task.

    Args:
        failure: What was raised. The other arguments but `provider` and `clock` are then not read.
        status: HTTP status.
        headers: Response headers, of any library; names in any case.
        body: The answer as received, or decoded.
        provider: Who was asked (`openai`, `groq`, ...); decides codes that mean different things at different providers.
        in_stream: The body is an event of a stream that had begun with a good status.
        clock: Wall time, for wait hints given as dates.
    """
    if failure is None:
        return _of_response(status, headers, read_body(body), provider, clock, in_stream=in_stream)
    if isinstance(failure, ModelError):
        return failure.verdict
    if not isinstance(failure, Exception):
        return verdict_of(
            FailureKind.CANCELLED, reasons=("left the attempt from outside: never a failure of the model",)
        )
    if isinstance(failure, CallError):
        return verdict_of(
            failure.kind, retry_after=failure.retry_after, reasons=("raised by this library with its kind",)
        )
    if isinstance(failure, InvalidRequest):
        return verdict_of(
            FailureKind.BAD_REQUEST, sent=False, reasons=("refused by this library before sending",)
        )
    if isinstance(failure, ConfigError):
        return verdict_of(FailureKind.LOCAL, sent=False, reasons=("configuration of this process",))
    return _of_evidence(evidence_of(failure), provider, clock)


def _of_evidence(evidence: Evidence, provider: str | None, clock: Clock) -> Verdict:
    """The verdict on what an exception carries."""
    known = provider or evidence.provider
    sign = evidence.sign
    if sign is not None and (sign.decides or not evidence.has_response):
        return _of_sign(sign, evidence)
    if evidence.has_response:
        return _of_response(
            evidence.status, evidence.headers, evidence.facts, known, clock, in_stream=evidence.in_stream
        )
    return verdict_of(FailureKind.UNKNOWN, reasons=(f"{evidence.name}: no status, no code, no known class",))


def _of_sign(sign: Sign, evidence: Evidence) -> Verdict:
    meaning = MEANINGS[sign.kind]
    return Verdict(
        sign.kind,
        meaning.retry if sign.retry is None else sign.retry,
        meaning.next_model,
        meaning.health,
        sent=sign.sent,
        status=evidence.status,
        reasons=(f"{evidence.name}: {sign.reason}",),
    )


def _of_response(
    status: int | None,
    headers: object,
    facts: ErrorFacts,
    provider: str | None,
    clock: Clock,
    *,
    in_stream: bool,
) -> Verdict:
    """The verdict on a response, from its three parts."""
    folded = fold_headers(headers) if headers else {}
    if folded:
        code = folded.get("x-amzn-errortype")
        if code is not None:
            facts.codes.insert(0, code.partition(":")[0].strip().lower())
    if status is not None and (isinstance(status, bool) or not 100 <= status <= 599):
        status = None
    kind, reason, code = _read(status, facts, provider, in_stream=in_stream)
    meaning = MEANINGS[kind]
    retry = meaning.retry
    reasons = [reason]
    shown = status if status is not None else facts.number
    if shown is not None and 300 <= shown <= 399:
        retry = False
        reasons.append("a redirect is not followed: it would carry the prompt and the key to another address")
    elif shown == 407 and kind is FailureKind.CONNECTION:
        retry = False
        reasons.append("the proxy wants other credentials: asking again changes nothing")
    if folded:
        kind, retry = _should_retry(kind, folded.get("x-should-retry"), reasons, retry=retry)
        meaning = MEANINGS[kind]
    retry_after: float | None = None
    if meaning.retry:
        # The header stands on good answers too, where it says nothing about a failure inside the stream.
        failed = status is None or not 200 <= status <= 299
        hint = read_hint(folded if failed else {}, facts, clock, paced=kind is FailureKind.RATE_LIMITED)
        retry_after = hint.seconds
        if retry_after is not None:
            reasons.append(f"wait hint from {hint.source}")
        if hint.ignored:
            reasons.append(HINT_IGNORED)
    elif kind is FailureKind.QUOTA_EXHAUSTED:
        retry_after = quota_reset(facts)
    return Verdict(
        kind,
        retry,
        meaning.next_model,
        meaning.health,
        retry_after,
        sent=kind is not FailureKind.CONNECTION,
        code=code,
        status=shown,
        reasons=tuple(reasons),
    )


HINT_IGNORED: Final = "hint ignored: negative, past or not a duration"
"""The reason that tells that a wait hint was sent and cannot be meant."""


def _should_retry(
    kind: FailureKind, header: str | None, reasons: list[str], *, retry: bool
) -> tuple[FailureKind, bool]:
    """What `x-should-retry` changes."""
    wanted = header.strip().lower() if header is not None else ""
    if wanted == "false" and retry:
        reasons.append("x-should-retry: false")
        return kind, False
    if wanted == "true" and not retry:
        if kind is FailureKind.BAD_REQUEST:
            reasons.append("x-should-retry: true, so not the caller's fault")
            return FailureKind.SERVER_ERROR, True
        reasons.append("x-should-retry: true is not followed: waiting does not mend this")
    return kind, retry


def _read(status: int | None, facts: ErrorFacts, provider: str | None, *, in_stream: bool) -> _Reading:
    """Body first, status second."""
    code: str | None = None
    decided: FailureKind | None = None
    if facts.codes:
        decided, code = _by_code(facts.codes, provider)
    if facts.details and decided in _MONEY_AND_PACE:
        google = _by_google_details(facts)
        if google is not None:
            return (
                google,
                "structured quota details",
                _shown(code or (facts.codes[0] if facts.codes else None)),
            )
    if decided is not None:
        refined = _refine(decided, facts)
        if refined is not None:
            return refined, f"wording beside a {decided} code", _shown(code)
        if code == "not_found_error" and facts.message.lower() in {"not found", "not_found"}:
            return FailureKind.BAD_REQUEST, "404 of a route, not of a model", _shown(code)
        return decided, f"code {_shown(code) or 'of the provider'}", _shown(code)
    code = _shown(facts.codes[0]) if facts.codes else None
    if facts.message:
        marked = _by_wording(facts.message, markers())
        if marked is not None:
            return marked, "the provider's wording", code
        if ZERO_LIMIT.search(facts.message):
            return FailureKind.QUOTA_EXHAUSTED, "a limit of zero", code
    flagged = _flagged(facts)
    if flagged:
        return FailureKind.CONTENT_FILTERED, "moderation metadata", code
    if status is None or 200 <= status <= 299 or in_stream:
        return _without_status(status, facts, provider, code)
    return _by_status(facts.number or status, facts, provider, code)


_MONEY_AND_PACE: Final = frozenset(
    {None, FailureKind.RATE_LIMITED, FailureKind.QUOTA_EXHAUSTED, FailureKind.OVERLOADED}
)


def _by_code(codes: list[str], provider: str | None) -> tuple[FailureKind | None, str | None]:
    """The first code that means something; a spent quota anywhere among them wins."""
    own = PROVIDER_CODES.get(provider) if provider is not None else None
    found: FailureKind | None = None
    read: str | None = None
    for code in codes:
        kind = own.get(code) if own is not None else None
        if kind is None:
            kind = CODES.get(code)
        if kind is FailureKind.QUOTA_EXHAUSTED:
            return kind, code
        if kind is not None and found is None:
            found, read = kind, code
    return found, read


def _refine(kind: FailureKind, facts: ErrorFacts) -> FailureKind | None:
    """What the wording makes of a code that covers more than one meaning."""
    wordings = refinements(kind)
    if not wordings or not facts.message:
        return None
    marked = _by_wording(facts.message, wordings)
    if marked is not None:
        return marked
    if kind is FailureKind.RATE_LIMITED:
        if ZERO_LIMIT.search(facts.message):
            return FailureKind.QUOTA_EXHAUSTED
        sizes = LIMIT_AND_REQUEST.match(_unwrapped(facts.message))
        if sizes is not None and int(sizes[2]) > int(sizes[1]):
            return FailureKind.CONTEXT_OVERFLOW
    return None


def _by_wording(message: str, wordings: tuple[Marker, ...]) -> FailureKind | None:
    """The first kind whose wording the message starts with."""
    text = _unwrapped(message)[:_WORDING_CHARACTERS].lower()
    for kind, pattern in wordings:
        if pattern.match(text):
            return kind
    return None


def _unwrapped(message: str) -> str:
    wrapper = WRAPPERS.match(message)
    return message if wrapper is None else message[wrapper.end() :]


def _by_google_details(facts: ErrorFacts) -> FailureKind | None:
    """Google's structured details tell a daily quota from a pace and from a lack of capacity."""
    paced = False
    for detail in facts.details:
        reason = detail.get("reason")
        if reason == "MODEL_CAPACITY_EXHAUSTED":
            return FailureKind.OVERLOADED
        if reason == "QUOTA_EXHAUSTED":
            return FailureKind.QUOTA_EXHAUSTED
        metadata = as_object(detail.get("metadata"))
        if metadata is not None and metadata.get("quota_limit_value") == "0":
            return FailureKind.QUOTA_EXHAUSTED
        paced = paced or reason == "RATE_LIMIT_EXCEEDED" or "retryDelay" in detail
        for item in as_list(detail.get("violations"))[:32]:
            violation = as_object(item) or {}
            names = f"{violation.get('quotaId')} {violation.get('quotaMetric')} {violation.get('subject')}".lower()
            if "perday" in names or "per_day" in names or str(violation.get("quotaValue")) == "0":
                return FailureKind.QUOTA_EXHAUSTED
            paced = True
    if not paced:
        return None
    return FailureKind.QUOTA_EXHAUSTED if ZERO_LIMIT.search(facts.message) else FailureKind.RATE_LIMITED


def _flagged(facts: ErrorFacts) -> bool:
    """OpenRouter says by structure that moderation stopped the prompt."""
    metadata = as_object(facts.error.get("metadata")) if facts.error is not None else None
    return metadata is not None and "flagged_input" in metadata


def _without_status(
    status: int | None, facts: ErrorFacts, provider: str | None, code: str | None
) -> _Reading:
    """A failure inside an answer that began well, or of which no status is known."""
    if facts.number is not None:
        return _by_status(facts.number, facts, provider, code)
    for sent in facts.codes:
        kind = GENERIC_CODES.get(sent)
        if kind is not None:
            return kind, f"code {_shown(sent)} without a status", _shown(sent)
    if facts.stated_error:
        return FailureKind.SERVER_ERROR, "an error object in place of an answer", code
    if facts.root is not None:
        finish = _finish(facts.root)
        if finish is not None:
            return finish, "why the answer stopped", None
    if status is None and facts.form == "none":
        return FailureKind.UNKNOWN, "nothing is known of it", None
    if facts.form == "html":
        return FailureKind.SERVER_ERROR, "a web page in place of an answer", None
    return FailureKind.SERVER_ERROR, "not an answer", None


def _by_status(status: int, facts: ErrorFacts, provider: str | None, code: str | None) -> _Reading:
    rule = f"status {status}"
    if provider is not None:
        own = PROVIDER_STATUSES.get((provider, status))
        if own is not None:
            return own, f"{rule} of {provider}", code
    kind = STATUSES.get(status)
    if kind is not None:
        return kind, rule, code
    if status == 404 and facts.param == "model":
        return FailureKind.MODEL_UNAVAILABLE, f"{rule} about the model", code
    if 400 <= status <= 499:
        return FailureKind.BAD_REQUEST, rule, code
    return FailureKind.SERVER_ERROR, rule, code


def _finish(root: Mapping[str, object]) -> FailureKind | None:
    """Why an answer stopped, in the formats of the chat, messages, Gemini and Converse wires."""
    feedback = as_object(root.get("promptFeedback"))
    if feedback is not None and feedback.get("blockReason"):
        return FailureKind.CONTENT_FILTERED
    incomplete = as_object(root.get("incomplete_details"))
    stops: list[object] = [root.get("stop_reason"), root.get("stopReason")]
    if incomplete is not None:
        stops.append(incomplete.get("reason"))
    for key in ("choices", "candidates"):
        for item in as_list(root.get(key))[:1]:
            choice = as_object(item)
            if choice is None:
                continue
            error = as_object(choice.get("error"))
            if error is not None:
                inner = read_body({"error": error})
                return _read(None, inner, None, in_stream=True)[0]
            stops += (choice.get("finish_reason"), choice.get("finishReason"))
    for stop in stops:
        if isinstance(stop, str):
            kind = FINISHES.get(stop.lower())
            if kind is not None:
                return kind
    return None


def _shown(code: str | None) -> str | None:
    """A code that may stand in a log line: an identifier or a number, never a sentence and nothing like a key."""
    if code is None or len(code) > _MAX_CODE_SHOWN or not code:
        return None
    return (
        code
        if _CODE_CHARACTERS.issuperset(code.replace("-", "_"))
        and ("-" not in code or code.replace("-", "").isalpha())
        else None
    )
