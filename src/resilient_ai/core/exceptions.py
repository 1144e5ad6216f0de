"""Reads any exception by its shape: what it carries of a response, and what its class is called.

No library is imported to recognise its exceptions. Attributes are read defensively: a property that raises says nothing, and no
attribute is touched that could read from a socket.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, cast, final

from resilient_ai.core.error_body import ErrorFacts, as_list, as_object, as_status, read_body
from resilient_ai.core.exception_signs import (
    NOT_CONNECTED,
    NOT_SENT,
    UNREADABLE_ANYWAY,
    UNTRUSTED,
    Sign,
    sign_of,
)
from resilient_ai.core.failure import FailureKind

_MAX_LINKS: Final = 10
"""How far a chain of causes is followed."""

_MAX_MESSAGE_PARSED: Final = 16 * 1024


@final
@dataclass(slots=True)
class Evidence:
    """What was found on an exception and its causes.

    Attributes:
        name: Class of the exception the finding is on, with its package.
        sign: What the class says, or None.
        status: HTTP status, or None.
        headers: Response headers as found, or None.
        facts: What the body says.
        in_stream: It came out of a stream that had begun well.
        provider: The provider, where the package tells.
        has_response: Status, code or body were found.
    """

    name: str
    sign: Sign | None = None
    status: int | None = None
    headers: object = None
    facts: ErrorFacts = field(default_factory=ErrorFacts)
    in_stream: bool = False
    provider: str | None = None
    has_response: bool = False


_PROVIDERS: Final[Mapping[str, str]] = {
    "openai": "openai",
    "anthropic": "anthropic",
    "groq": "groq",
    "together": "together",
    "cohere": "cohere",
    "mistralai": "mistral",
    "google": "gemini",
    "ollama": "ollama",
    "huggingface_hub": "huggingface",
    "botocore": "bedrock",
    "azure": "azure",
    "zhipuai": "zhipu",
    "zai": "zhipu",
}
"""Provider by the package that raised. An SDK pointed at another server is told apart by its body, not by this."""

_SPEAKS_FOR_PROVIDER: Final = frozenset({"litellm", "google", "huggingface_hub", "ollama", "azure", "grpc"})
"""Packages whose exception messages are the provider's words."""

_EMBEDDED: Final = re.compile(
    r"(?:litellm\.)?[\w.]{0,80}(?:: [\w.]{1,80}){0,2}(?:: | - )(?:Error code: ([45]\d\d) - )?(?=\{)"
)


def evidence_of(failure: BaseException) -> Evidence:
    """What `failure` and the causes behind it carry. Never raises."""
    fallback: Evidence | None = None
    finding: Evidence | None = None
    for link in _chain(failure):
        evidence = _read(link)
        if evidence.has_response or (evidence.sign is not None and not evidence.sign.generic):
            finding = evidence
            break
        if evidence.sign is not None and fallback is None:
            fallback = evidence
    found = finding or fallback
    if found is None:
        return Evidence(_name(type(failure)))
    sign = found.sign
    if sign is not None and not found.has_response and sign.kind is FailureKind.CONNECTION:
        found.sign = _deeper(failure, sign)
    return found


def _deeper(failure: BaseException, sign: Sign) -> Sign:
    """A broken connection whose cause, further down, tells that it never stood or must not be tried again."""
    if sign.retry is False:
        return sign
    unsent: Sign | None = None
    for link in _chain(failure):
        below = sign_of(link)
        if below is None or below.kind is not FailureKind.CONNECTION:
            continue
        if below.retry is False and not _mended_below(link):
            return below
        if below.sent is False and unsent is None and not below.generic:
            unsent = below
    return sign if unsent is None or sign.sent is not None else unsent


def _mended_below(link: BaseException) -> bool:
    """A wrapper of TLS errors stands for every cause; the one below it says whether it passes."""
    below = [sign for sign in (sign_of(cause) for cause in _chain(link)) if sign is not None]
    return any(sign.retry is None and not sign.generic for sign in below) and not any(
        sign is UNTRUSTED for sign in below
    )


def _chain(failure: BaseException) -> Iterator[BaseException]:
    """`failure` and what is behind it, outermost first; bounded, and safe in a circle."""
    seen: set[int] = set()
    current: BaseException | None = failure
    while current is not None and id(current) not in seen and len(seen) < _MAX_LINKS:
        seen.add(id(current))
        yield current
        current = _behind(current)


def _behind(failure: BaseException) -> BaseException | None:
    if isinstance(failure, BaseExceptionGroup):
        group = cast("BaseExceptionGroup[BaseException]", failure)
        return group.exceptions[0]
    if failure.__cause__ is not None:
        return failure.__cause__
    for name in ("reason", "os_error", "original_exception"):
        inner = _get(failure, name)
        if isinstance(inner, BaseException):
            return inner
    if failure.args and isinstance(failure.args[0], BaseException):
        return failure.args[0]
    return None if failure.__suppress_context__ else failure.__context__


def _read(link: BaseException) -> Evidence:
    """What one exception carries."""
    kind = type(link)
    package = kind.__module__.partition(".")[0]
    evidence = Evidence(_name(kind), sign=sign_of(link), provider=_provider(link, package))
    _read_response(link, package, evidence)
    status = evidence.status
    facts = evidence.facts
    good = status is not None and 200 <= status <= 299
    evidence.has_response = bool(facts.codes) or facts.stated_error or (status is not None and not good)
    evidence.in_stream = good or (status is None and evidence.has_response)
    if good and not evidence.has_response and evidence.sign is None:
        evidence.sign = UNREADABLE_ANYWAY
    return evidence


def _provider(link: BaseException, package: str) -> str | None:
    if package == "litellm":
        named = _get(link, "llm_provider")
        return named if isinstance(named, str) else None
    return _PROVIDERS.get(package)


def _read_response(link: BaseException, package: str, evidence: Evidence) -> None:
    """Status, headers and body, from wherever this library keeps them."""
    grpc_code = _get(link, "code")
    if callable(grpc_code):
        _read_grpc(link, grpc_code, evidence)
        return
    response = _get(link, "response")
    mapped = as_object(response)
    if mapped is not None:
        _read_boto(mapped, evidence)
        return
    evidence.status = as_status(_get(link, "status_code")) or as_status(_get(link, "status"))
    if evidence.status is None and response is not None:
        evidence.status = as_status(_get(response, "status_code")) or as_status(_get(response, "status"))
    if evidence.status is None and any(
        _get(link, name) is not None for name in ("headers", "hdrs", "details", "errors", "response")
    ):
        # Only beside other parts of a response; a bare number called `code` may be anything.
        evidence.status = as_status(grpc_code)
    evidence.headers = _get(link, "headers")
    if not evidence.headers and response is not None:
        evidence.headers = _get(response, "headers")
    evidence.facts = _facts(link, response, package, evidence)


def _read_grpc(link: BaseException, code: object, evidence: Evidence) -> None:
    name = _get(_call(code), "name")
    if not isinstance(name, str):
        return
    details = _call(_get(link, "details"))
    message = details if isinstance(details, str) else ""
    if name == "UNAVAILABLE" and NOT_CONNECTED.match(message):
        evidence.sign = NOT_SENT
        return
    evidence.facts = read_body({"error": {"status": name, "message": message}})
    evidence.headers = _call(_get(link, "trailing_metadata"))


def _read_boto(response: Mapping[str, object], evidence: Evidence) -> None:
    metadata = as_object(response.get("ResponseMetadata")) or {}
    evidence.status = as_status(metadata.get("HTTPStatusCode"))
    evidence.headers = metadata.get("HTTPHeaders")
    error = as_object(response.get("Error"))
    if error is not None:
        evidence.facts = read_body({"error": error})


def _facts(link: BaseException, response: object, package: str, evidence: Evidence) -> ErrorFacts:
    """What the body says, in the first form in which this exception holds one."""
    for body in (_get(link, "body"), _get(link, "details"), _stored(response)):
        facts = _facts_of_body(body)
        if facts is not None:
            _fill(facts, link, package)
            return facts
    error = _get(link, "error")
    if isinstance(error, str) and package in _SPEAKS_FOR_PROVIDER:
        return read_body({"error": error})
    parts: dict[str, object] = {}
    for name in ("code", "type", "status", "error_code", "errors", "details"):
        value = _get(link, name)
        if isinstance(value, str):
            parts[name] = value
        elif isinstance(value, list | tuple) and value:
            parts["details"] = [_detail(item) for item in cast("list[object]", value)[:32]]
    grpc_status = _get(_get(link, "grpc_status_code"), "name")
    if isinstance(grpc_status, str):
        parts["status"] = grpc_status
    if error is not None and not isinstance(error, str):
        for name in ("code", "type", "message"):
            value = as_object(error).get(name) if isinstance(error, Mapping) else _get(error, name)  # type: ignore[union-attr]
            if isinstance(value, str):
                parts.setdefault(name, value)
    if package in _SPEAKS_FOR_PROVIDER:
        return _facts_of_message(link, parts, evidence)
    return read_body({"error": parts}) if parts.keys() & {"code", "type", "error_code"} else ErrorFacts()


def _facts_of_body(body: object) -> ErrorFacts | None:
    if body is None or isinstance(body, bool) or callable(body):
        return None
    mapped = as_object(body)
    if mapped is None:
        if isinstance(body, bytes | bytearray | str) and body:
            return read_body(body)
        return None
    if not mapped:
        return None
    if any(
        key in mapped for key in ("error", "errors", "detail", "response", "choices", "candidates", "content")
    ):
        return read_body(mapped)
    # openai hands over the inner object alone.
    return read_body({"error": mapped})


def _fill(facts: ErrorFacts, link: BaseException, package: str) -> None:
    """Codes the SDK kept beside a body that has none, and the sentence some keep apart."""
    if not facts.codes and package not in _SPEAKS_FOR_PROVIDER:
        for name in ("code", "type"):
            value = _get(link, name)
            if isinstance(value, str) and value and as_status(value) is None:
                facts.codes.append(value.lower()[:80])
    if not facts.message:
        message = _get(link, "server_message")
        if isinstance(message, str):
            facts.message = message[:4096]


def _facts_of_message(link: BaseException, parts: dict[str, object], evidence: Evidence) -> ErrorFacts:
    """Facts from a message that is the provider's own, or carries its body at the end."""
    message = _get(link, "server_message") or _get(link, "message") or (link.args[0] if link.args else None)
    if not isinstance(message, str):
        return read_body({"error": parts}) if parts else ErrorFacts()
    text = message.strip()[:_MAX_MESSAGE_PARSED]
    match = _EMBEDDED.match(text)
    if match is not None:
        embedded = _literal(text[match.end() :])
        if embedded is not None:
            facts = _facts_of_body(embedded)
            if facts is not None and facts.stated_error:
                if evidence.status is None:
                    evidence.status = as_status(match[1])
                return facts
    return (
        read_body({"error": {**parts, "message": text}})
        if parts or evidence.status is not None
        else ErrorFacts()
    )


def _literal(text: str) -> object:
    """An object at the start of `text`, as JSON or as Python prints it, or None."""
    try:
        return json.JSONDecoder().raw_decode(text)[0]
    except (ValueError, RecursionError):
        pass
    # Only litellm prints bodies so; the parser of Python costs more to import than this whole module.
    import ast

    end = text.rfind("}")
    try:
        return cast("object", ast.literal_eval(text[: end + 1]))
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return None


def _detail(item: object) -> object:
    """One of Google's details, decoded or as a message object."""
    if as_object(item) is not None:
        return item
    delay = _get(item, "retry_delay")
    if delay is not None:
        return {"retryDelay": {"seconds": _get(delay, "seconds") or 0, "nanos": _get(delay, "nanos") or 0}}
    violations = as_list(list(cast("list[object]", _get(item, "violations") or [])))
    if violations:
        return {
            "violations": [
                {"quotaId": _get(each, "quota_id"), "quotaMetric": _get(each, "quota_metric")}
                for each in violations[:32]
            ]
        }
    return {"reason": _get(item, "reason")}


def _stored(response: object) -> object:
    """A body the response already holds. Asking for it by property might read from the connection."""
    if response is None:
        return None
    try:
        held = cast("dict[str, object]", vars(response))
    except TypeError:
        return None
    for name in ("_content", "content", "_text", "text", "_body", "body"):
        body = held.get(name)
        if isinstance(body, bytes | bytearray | str) and body:
            return body
    return None


def _name(kind: type[BaseException]) -> str:
    """Package and class. Both are code, never content."""
    package = kind.__module__.partition(".")[0]
    return kind.__name__ if package == "builtins" else f"{package}.{kind.__name__}"


def _get(holder: object, name: str) -> object:
    """The attribute, or None if there is none or reading it fails."""
    try:
        return cast("object", getattr(holder, name, None))
    except Exception:  # noqa: BLE001 - a property that raises must not hide the failure it stands on
        return None


def _call(function: object) -> object:
    if not callable(function):
        return None
    try:
        return cast("Callable[[], object]", function)()
    except Exception:  # noqa: BLE001 - as above
        return None
