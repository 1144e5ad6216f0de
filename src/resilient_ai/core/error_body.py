"""Reads the body of a failure, whoever wrote it, into the few facts the classifier decides on.

Providers nest the same four facts (a code, a number, a sentence, details) in a dozen shapes. This module knows the
shapes and nothing of their meaning. It reads bounded amounts, never raises, and never looks for a word inside a text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias, cast, final

MAX_BODY_BYTES: Final = 256 * 1024
"""More than this is not an error object a provider wrote; it is not parsed. Real ones have less than 10 KiB."""

MAX_MESSAGE_CHARACTERS: Final = 4096
"""How much of a message is looked at."""

MAX_CODE_CHARACTERS: Final = 80
_MAX_NESTING: Final = 3
_MAX_DETAILS: Final = 32

_HTML: Final = re.compile(r"\s*<(?:!doctype|html|head|body|\?xml|center|h1)\b", re.IGNORECASE)
_SSE_DATA: Final = re.compile(r"^data:[ ]?(.*)$", re.MULTILINE)
_THREE_DIGITS: Final = re.compile(r"[1-5][0-9]{2}", re.ASCII)

Form: TypeAlias = Literal["none", "empty", "json", "text", "html", "oversized"]
Body: TypeAlias = "bytes | bytearray | str | Mapping[str, object] | None"


@final
@dataclass(slots=True)
class ErrorFacts:
    """What a body says, before anybody interprets it.

    Attributes:
        form: What the body is.
        codes: Codes as sent, most specific first, lower case.
        number: A status the body states by itself (400-599), or None.
        message: The provider's sentence, cut to `MAX_MESSAGE_CHARACTERS`. May hold content: never shown.
        param: The parameter a rejected request is said to be wrong in, or empty.
        details: Structured details, as sent.
        headers: Headers a router passed on inside the body.
        stated_error: The body says by its shape that it is an error.
        root: The decoded body, if it is an object.
        error: The object that carries the error, if there is one.
    """

    form: Form = "none"
    codes: list[str] = field(default_factory=list[str])
    number: int | None = None
    message: str = ""
    param: str = ""
    details: list[Mapping[str, object]] = field(default_factory=list[Mapping[str, object]])
    headers: Mapping[str, object] | None = None
    stated_error: bool = False
    root: Mapping[str, object] | None = None
    error: Mapping[str, object] | None = None


def as_object(value: object) -> Mapping[str, object] | None:
    """`value` if it is a mapping, else None."""
    if type(value) is dict:
        return cast("dict[str, object]", value)
    # The check against an abstract class is dear, and most values are one of these.
    if value is None or isinstance(value, str | int | list):
        return None
    return cast("Mapping[str, object]", value) if isinstance(value, Mapping) else None


def as_list(value: object) -> list[object]:
    """`value` if it is a list, else an empty one."""
    return cast("list[object]", value) if isinstance(value, list) else []


def as_status(value: object) -> int | None:
    """`value` as an HTTP status (100-599) if it is one, written as a number or in digits."""
    if isinstance(value, int):
        return int(value) if 100 <= value <= 599 and not isinstance(value, bool) else None
    if isinstance(value, str) and len(value) == 3 and _THREE_DIGITS.fullmatch(value):
        return int(value)
    return None


def read_body(body: object) -> ErrorFacts:
    """The facts in `body`: bytes, text, a decoded object, or anything else (which says nothing)."""
    try:
        return _read(body)
    except (ValueError, TypeError, RecursionError, LookupError, AttributeError):
        # A body is hostile input: an odd mapping, digits beyond the interpreter's limit, nesting beyond its stack.
        return ErrorFacts(form="text")


def _read(body: object) -> ErrorFacts:
    if body is None:
        return ErrorFacts()
    root = as_object(body)
    if root is not None:
        return _read_object(root)
    if isinstance(body, list):
        return _read_decoded(cast("list[object]", body))
    if isinstance(body, bytes | bytearray):
        if len(body) > MAX_BODY_BYTES:
            return ErrorFacts(form="html" if _HTML.match(_decode(bytes(body[:64]))) else "oversized")
        return _read_text(_decode(bytes(body)))
    if isinstance(body, str):
        if len(body) > MAX_BODY_BYTES:
            return ErrorFacts(form="html" if _HTML.match(body, 0, 64) else "oversized")
        return _read_text(body)
    return ErrorFacts()


def _decode(data: bytes) -> str:
    return data.decode("utf-8", "replace").removeprefix("\ufeff")


def _read_text(text: str) -> ErrorFacts:
    """Facts of a body that came as text: JSON, a piece of an event stream, a page, or a plain sentence."""
    stripped = text.strip()
    if not stripped:
        return ErrorFacts(form="empty")
    if stripped[0] in '{["':
        decoded = _parse(stripped)
        if decoded is not None:
            return _read_decoded(decoded)
    if stripped.startswith(("data:", "event:", "id:", ": ")):
        for decoded in _events(stripped):
            facts = _read_decoded(decoded)
            if facts.stated_error:
                return facts
        return ErrorFacts(form="text")
    if _HTML.match(stripped):
        return ErrorFacts(form="html")
    return ErrorFacts(form="text", message=stripped[:MAX_MESSAGE_CHARACTERS])


def _parse(text: str) -> object:
    """The decoded JSON, or None."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _events(text: str) -> Iterator[object]:
    for match in _SSE_DATA.finditer(text):
        decoded = _parse(match[1].strip())
        if decoded is not None:
            yield decoded


def _read_decoded(decoded: object) -> ErrorFacts:
    if isinstance(decoded, str):
        return ErrorFacts(form="json", message=decoded.strip()[:MAX_MESSAGE_CHARACTERS])
    # Google answers a stream request that fails with an array of one error object.
    for item in as_list(decoded)[:_MAX_DETAILS]:
        root = as_object(item)
        if root is not None:
            return _read_object(root)
    root = as_object(decoded)
    return ErrorFacts(form="json") if root is None else _read_object(root)


def _read_object(root: Mapping[str, object], depth: int = 0) -> ErrorFacts:
    facts = ErrorFacts(form="json", root=root)
    error = _error_object(root, facts)
    facts.error = error
    if error is not None:
        _read_error(error, facts)
    if error is not root and len(root) > 1:
        _read_outer(root, facts)
    if depth < _MAX_NESTING:
        _read_nested(facts, depth)
    return facts


def _error_object(root: Mapping[str, object], facts: ErrorFacts) -> Mapping[str, object] | None:
    """The object that carries code and message, wherever this provider puts it."""
    stated = root.get("error")
    error = as_object(stated)
    if error is not None:
        facts.stated_error = True
        return error
    if isinstance(stated, str) and stated:
        # Ollama, Hugging Face, xAI: the sentence itself.
        facts.stated_error = True
        facts.message = stated.strip()[:MAX_MESSAGE_CHARACTERS]
        return None
    response = as_object(root.get("response"))
    if response is not None:
        # `response.failed` of the Responses API.
        inner = as_object(response.get("error"))
        if inner is not None:
            facts.stated_error = True
            return inner
    errors = as_list(root.get("errors"))
    if errors and root.get("success") is not True:
        first = as_object(errors[0])
        if first is not None:
            facts.stated_error = True
            return first
    detail = as_object(root.get("detail"))
    if detail is not None:
        facts.stated_error = True
        return as_object(detail.get("error")) or detail
    if len(root) <= 2:
        # The event stream of Bedrock names the exception by the key.
        for key, value in root.items():
            inner = as_object(value)
            if inner is not None and key.endswith("Exception"):
                facts.stated_error = True
                facts.codes.append(key.lower())
                return inner
    if _looks_like_error(root):
        facts.stated_error = True
        return root
    return None


def _looks_like_error(root: Mapping[str, object]) -> bool:
    """A bare object is an error if it has a sentence and no answer (Mistral, Cohere, Bedrock, gateways)."""
    if any(key in root for key in ("choices", "candidates", "content", "output", "promptFeedback")):
        return False
    return any(key in root for key in ("message", "Message", "msg", "detail", "__type", "code", "error_type"))


_CODE_KEYS: Final = ("code", "Code", "type", "status", "error_type", "error_code", "__type")
_NUMBER_KEYS: Final = ("status_code", "http_code", "statusCode", "raw_status_code")
_MESSAGE_KEYS: Final = ("message", "Message", "msg", "detail", "details", "error")


def _read_error(error: Mapping[str, object], facts: ErrorFacts) -> None:
    """The facts in the object that carries the error, most specific code first."""
    if "details" in error:
        _read_details(error["details"], facts)
    metadata = as_object(error.get("metadata"))
    if metadata is not None:
        _add_code(facts, metadata.get("error_type"))
        facts.headers = as_object(metadata.get("headers"))
    inner = as_object(error.get("innererror")) or as_object(error.get("inner_error"))
    if inner is not None:
        _add_code(facts, inner.get("code"))
    _add_codes(error, facts)
    if not facts.message:
        for key in _MESSAGE_KEYS:
            value = error.get(key)
            if isinstance(value, str) and value:
                facts.message = value.strip()[:MAX_MESSAGE_CHARACTERS]
                break
    param = error.get("param")
    if isinstance(param, str):
        facts.param = param[:MAX_CODE_CHARACTERS]


def _read_details(details: object, facts: ErrorFacts) -> None:
    described = as_object(details)
    if described is not None:
        # Anthropic names the cause here; the type beside it stays broad.
        _add_code(facts, described.get("error_code"))
        facts.number = facts.number or _failed(described.get("status_code"))
    for item in as_list(details)[:_MAX_DETAILS]:
        found = as_object(item)
        if found is not None:
            facts.details.append(found)
            _add_code(facts, found.get("reason"))


def _read_outer(root: Mapping[str, object], facts: ErrorFacts) -> None:
    """What stands beside the error object."""
    _add_codes(root, facts)
    if not facts.message and facts.stated_error:
        value = root.get("message")
        if isinstance(value, str):
            facts.message = value.strip()[:MAX_MESSAGE_CHARACTERS]


def _add_codes(holder: Mapping[str, object], facts: ErrorFacts) -> None:
    for key in _CODE_KEYS:
        value = holder.get(key)
        # `"type": "error"` tells the shape, not the cause.
        if value is not None and value != "error":
            _add_code(facts, value)
    if facts.number is None:
        for key in _NUMBER_KEYS:
            if key in holder:
                facts.number = facts.number or _failed(holder[key])


def _read_nested(facts: ErrorFacts, depth: int) -> None:
    """A router or an SDK may carry the provider's own body as text; that one is the better witness."""
    error = facts.error
    raw: object = None
    if error is not None:
        metadata = as_object(error.get("metadata"))
        raw = metadata.get("raw") if metadata is not None else None
    if isinstance(raw, str) and raw:
        text = raw.strip()
        inner = _parse_nested(text, depth)
        if inner is not None:
            _adopt(facts, inner)
        else:
            facts.message = text[:MAX_MESSAGE_CHARACTERS]
    elif facts.message.startswith("{"):
        inner = _parse_nested(facts.message, depth)
        # Only a body that agrees on the status is the provider's; anything else might be the caller's own JSON.
        if inner is not None and inner.number is not None and inner.number == facts.number:
            _adopt(facts, inner)


def _parse_nested(text: str, depth: int) -> ErrorFacts | None:
    if not text.startswith("{") or len(text) > MAX_BODY_BYTES:
        return None
    root = as_object(_parse(text))
    if root is None:
        return None
    inner = _read_object(root, depth + 1)
    return inner if inner.stated_error else None


def _adopt(facts: ErrorFacts, inner: ErrorFacts) -> None:
    facts.codes[:0] = inner.codes
    facts.number = inner.number or facts.number
    facts.message = inner.message or facts.message
    facts.details = inner.details or facts.details
    facts.headers = facts.headers or inner.headers


def _failed(value: object) -> int | None:
    """`value` as a status of failure."""
    status = as_status(value)
    return status if status is not None and status >= 400 else None


def _add_code(facts: ErrorFacts, value: object) -> None:
    if value is None or isinstance(value, bool):
        return
    number = as_status(value)
    if number is not None:
        if number >= 400:
            facts.number = facts.number or number
        return
    if isinstance(value, int):
        facts.codes.append(str(value) if -1_000_000 < value < 1_000_000 else "")
    elif isinstance(value, str) and 0 < len(value) <= MAX_CODE_CHARACTERS:
        # AWS writes `ThrottlingException:http://...` and `com.amazon#ThrottlingException`.
        facts.codes.append(value.partition(":")[0].rpartition("#")[2].strip().lower())
