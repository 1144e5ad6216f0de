"""Reads and writes the JSON of bodies and events: bounded, and with the errors of this package only.

`pydantic_core` parses three to four times faster than the standard library, checks UTF-8, and refuses to nest deeper than
200 levels instead of exhausting the stack.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, TypeAlias, cast

from pydantic_core import from_json, to_json

from resilient_ai.messages import JSON
from resilient_ai.models.wire import Malformed, Truncated, Unportable

MAX_BODY_BYTES: Final = 32 * 1024 * 1024
"""The largest JSON text decoded. Above it stand only embedded media, which no format here carries in an answer of text."""

JSONObject: TypeAlias = "dict[str, JSON]"

_BOM: Final = b"\xef\xbb\xbf"
_HEX: Final = rb"[0-9a-fA-F]{2}"
_ESCAPE: Final = re.compile(
    rb"\\(?:u[dD][89abAB]"
    + _HEX
    + rb"\\u[dD][c-fC-F]"
    + _HEX
    + rb"|(?P<lone>u[dD][89a-fA-F]"
    + _HEX
    + rb")|.)",
    re.DOTALL,
)
"""One escape of a JSON string; `lone` is half of a surrogate pair. All are matched in turn, so that an escaped backslash
before a `u` is not mistaken for one."""


def decode(data: bytes, *, limit: int = MAX_BODY_BYTES) -> JSON:
    """The value in `data`.

    A byte order mark is passed over. Half of a surrogate pair, which is legal JSON but no text, becomes U+FFFD.

    Raises:
        Malformed: Empty, not JSON, not UTF-8, nested beyond reason, or longer than `limit` bytes.
        Truncated: The text ends inside a value.
    """
    if len(data) > limit:
        raise Malformed("the JSON text is longer than the limit")
    if data[:3] == _BOM:
        data = data[3:]
    try:
        value: JSON = from_json(data)
        return value
    except ValueError as error:
        reason = str(error)
    if not data or data.isspace():
        raise Malformed("the body is empty")
    if b"\\u" in data and ("escape" in reason or "surrogate" in reason):
        mended = _ESCAPE.sub(_without_lone, data)
        if mended != data:
            return decode(mended, limit=limit)
    if reason.startswith("EOF"):
        raise Truncated("the JSON text ends in the middle")
    if reason.startswith("recursion"):
        raise Malformed("the JSON text is nested too deep")
    raise Malformed("the bytes are not JSON")


def decode_object(data: bytes, *, limit: int = MAX_BODY_BYTES) -> JSONObject:
    """The object in `data`.

    Raises:
        Malformed: As for `decode`, or the value is no object.
        Truncated: The text ends inside a value.
    """
    value = decode(data, limit=limit)
    if not isinstance(value, dict):
        raise Malformed("the JSON text is not an object")
    return value


def encode(value: object) -> bytes:
    """`value` as compact JSON in UTF-8. Any `Mapping` is an object; half of a surrogate pair is written as its escape.

    Raises:
        Malformed: It holds something that JSON has no form for.
    """
    try:
        return to_json(value, fallback=_as_dict)
    except ValueError:
        return _encode_slowly(value)


def encode_body(body: JSONObject) -> bytes:
    """A request's body, as `encode` writes it.

    Raises:
        Unportable: One of its fields holds something that JSON has no form for; the text names the field.
    """
    try:
        return encode(body)
    except Malformed as error:
        field = next((name for name, value in body.items() if not _encodes(value)), "body")
        raise Unportable(field, "it holds a value that JSON has no form for") from error


def _encodes(value: object) -> bool:
    try:
        encode(value)
    except Malformed:
        return False
    return True


def _encode_slowly(value: object) -> bytes:
    import json

    try:
        return json.dumps(value, default=_as_dict, separators=(",", ":")).encode()
    except Exception as error:
        # A value that is a mapping of the caller's own runs the caller's code, which may raise anything.
        raise Malformed("a value cannot be written as JSON") from error


def _as_dict(value: object) -> object:
    if isinstance(value, Mapping):
        return dict(cast("Mapping[str, object]", value))
    raise TypeError("JSON has no form for this type")


def _without_lone(escape: re.Match[bytes]) -> bytes:
    return escape.group() if escape.group("lone") is None else b"\\ufffd"
