"""Walks whatever was put into a log field or a span attribute, and returns plain data that may be shown.

Nothing here calls `repr`, `str` or `model_dump` of an object it does not know: those print fields that were
excluded, raise, or run for seconds. An unknown object is represented by the name of its type.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import decimal
import enum
import json
import math
import pathlib
import re
import uuid
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import TYPE_CHECKING, Final, cast, final

from resilient_ai.privacy.key_names import Secrecy, secrecy, tokens
from resilient_ai.privacy.secret import Secret

if TYPE_CHECKING:
    from resilient_ai.privacy.redactor import Redactor

# Bounds on what one value may cost. Source: OpenTelemetry's default limit of 128 attributes an item, times
# the nesting that JSON log pipelines accept (20 levels in Elasticsearch's default mapping limit).
MAX_DEPTH: Final = 20
MAX_ITEMS: Final = 1024
MAX_NODES: Final = 65536
_LONGEST_JSON: Final = 65536
_LARGEST_PLAIN_INT: Final = 10**11
_MAX_CAUSES: Final = 8

_ELLIPSIS: Final = "<MORE>"
_CYCLE: Final = "<CYCLE>"
_SECRET: Final = "SECRET"  # noqa: S105 - the name of a kind
_PHONE_NAMES: Final = frozenset(
    {
        "phone", "telephone", "mobile", "msisdn", "fax", "cell", "cellphone", "tel", "whatsapp",
    }
)  # fmt: skip
# Words: nothing that any rule looks for can be written with letters only, this short.
_PLAIN_NAME: Final = re.compile(r"[A-Za-z_.\-]{1,32}")
_PRINTED: Final = (
    dt.date,
    dt.time,
    dt.timedelta,
    decimal.Decimal,
    uuid.UUID,
    pathlib.PurePath,
)
# Types of other libraries whose text is what they mean. Compared by name: importing them would be heavy.
_PRINTED_NAMES: Final = frozenset(
    {"httpx.URL", "httpx2.URL", "yarl.URL", "yarl._url.URL", "pydantic_core._pydantic_core.Url"}
)


def redact_value(redactor: Redactor, value: object) -> object:
    """Return `value` as plain data with everything sensitive replaced."""
    return _Walk(redactor).visit(value, 0)


@final
class _Walk:
    __slots__ = ("_nodes", "_path", "_redactor")

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor
        self._path: set[int] = set()
        self._nodes = 0

    def visit(self, value: object, depth: int) -> object:
        kind = type(value)
        if value is None or kind is bool:
            return value
        self._nodes += 1
        if self._nodes > MAX_NODES:
            return _ELLIPSIS
        if kind is str:
            return self._string(value)  # type: ignore[arg-type]
        if kind is int or kind is float:
            return self._number(value)  # type: ignore[arg-type]
        if depth > MAX_DEPTH:
            return _ELLIPSIS
        if id(value) in self._path:
            return _CYCLE
        self._path.add(id(value))
        try:
            return self._composite(value, depth)
        except Exception:  # noqa: BLE001 - an object that raises when looked at costs itself, not its neighbours
            return self._redactor.failed()
        finally:
            self._path.discard(id(value))

    def _composite(self, value: object, depth: int) -> object:
        if isinstance(value, Secret) or hasattr(type(value), "get_secret_value"):
            return self._redactor.placeholder(_SECRET, "")
        if isinstance(value, enum.Enum):
            return self.visit(value.value, depth + 1)
        if isinstance(value, str):
            return self._string(str.__str__(value))
        if isinstance(value, int):
            return self._number(int.__int__(value))
        if isinstance(value, float):
            return self._number(float.__float__(value))
        if isinstance(value, bytes | bytearray | memoryview):
            return self._string(bytes(cast("bytes", value)).decode("utf-8", "replace"))
        if isinstance(value, _PRINTED) or _type_name(value) in _PRINTED_NAMES:
            return self._string(str(value))
        if isinstance(value, Mapping):
            return self._mapping(cast("Mapping[object, object]", value).items(), depth)
        if isinstance(value, BaseException):
            return self._exception(value, depth)
        fields = _fields(value)
        if fields is not None:
            return self._mapping(((name, getattr(value, name, None)) for name in fields), depth)
        if isinstance(value, Sequence | AbstractSet):
            return self._items(cast("Iterable[object]", value), depth)
        return f"<{_type_name(value)}>"

    def _string(self, text: str) -> str:
        if len(text) > 1 and text[0] in "{[" and len(text) <= _LONGEST_JSON and text.rstrip()[-1:] in "}]":
            text = self._document(text)
        result = self._redactor.text(text)
        if not result.isascii():
            # Lone surrogates are no valid UTF-8, and most JSON writers refuse them.
            return result.encode("utf-8", "replace").decode("utf-8")
        return result

    def _document(self, text: str) -> str:
        """Redact JSON by its structure, which knows what is nested below a name; keep its spelling otherwise."""
        try:
            parsed: object = json.loads(text)
        except (ValueError, RecursionError):
            return text
        walked = _Walk(self._redactor).visit(parsed, 1)
        return text if walked == parsed else json.dumps(walked, ensure_ascii=False)

    def _number(self, number: float) -> object:
        if isinstance(number, int):
            if -_LARGEST_PLAIN_INT < number < _LARGEST_PLAIN_INT:
                return number
            digits = str(number) if number.bit_length() < 256 else "<MORE>"
            shown = self._redactor.text(digits)
            return number if shown == digits and digits != "<MORE>" else shown
        return number if math.isfinite(number) else str(number)

    def _mapping(self, items: Iterable[tuple[object, object]], depth: int) -> dict[str, object]:
        result: dict[str, object] = {}
        label: str | None = None
        for count, (key, value) in enumerate(items):
            if count >= MAX_ITEMS:
                result[_ELLIPSIS] = _ELLIPSIS
                break
            name = self._name(key)
            shown = self._named(name, value, depth) if name is not None else self.visit(value, depth + 1)
            result[self._shown_name(name) if name is not None else str(self.visit(key, depth + 1))] = shown
            if name is not None and name.lower() in {"name", "key", "header", "field"} and type(value) is str:
                label = value
        if label is not None and secrecy(label) is not Secrecy.OPEN:
            # {"name": "Authorization", "value": "..."}: the name of the field is itself a value.
            for name, shown in result.items():
                if name.lower() in {"value", "val", "content", "data"}:
                    result[name] = self._withheld(shown)
        return result

    def _shown_name(self, name: str) -> str:
        return name if _PLAIN_NAME.fullmatch(name) else self._string(name)

    def _name(self, key: object) -> str | None:
        if isinstance(key, str):
            return str.__str__(key)
        if isinstance(key, bytes):
            return key.decode("utf-8", "replace")
        return None

    def _named(self, name: str, value: object, depth: int) -> object:
        if secrecy(name) is not Secrecy.OPEN:
            return self._withheld(value)
        if type(value) in {str, int} and not _PHONE_NAMES.isdisjoint(tokens(name)):
            digits = sum(map(str.isdigit, str(value)[:64]))
            if digits >= 7:
                return self._redactor.placeholder("PHONE", str(value))
        return self.visit(value, depth + 1)

    def _withheld(self, value: object) -> object:
        """Replace `value` and all below it; nothing and yes or no stay, they reveal nothing and explain much."""
        if value is None or type(value) is bool or (type(value) in {str, bytes} and not value):
            return value if value is None or type(value) is bool else ""
        if type(value) is not str:
            return self._redactor.placeholder(_SECRET, "")
        return value if self._redactor.is_placeholder(value) else self._redactor.placeholder(_SECRET, value)

    def _items(self, values: Iterable[object], depth: int) -> list[object]:
        result: list[object] = []
        withhold = False
        for count, value in enumerate(values):
            if count >= MAX_ITEMS:
                result.append(_ELLIPSIS)
                break
            if withhold:
                result.append(self._withheld(value))
                withhold = False
                continue
            pair = _named_pair(value) if type(value) in {tuple, list} else None
            if pair is not None:
                result.append([self._redactor.text(pair[0]), self._named(pair[0], pair[1], depth + 1)])
                continue
            # ["--password", "hunter2"]: an option and its value are two items.
            withhold = (
                type(value) is str
                and value.startswith("-")
                and "=" not in value
                and secrecy(value) is not Secrecy.OPEN
            )
            result.append(self.visit(value, depth + 1))
        return result

    def _exception(self, error: BaseException, depth: int) -> dict[str, object]:
        shown: dict[str, object] = {"type": _type_name(error)}
        message = error.args[0] if error.args and isinstance(error.args[0], str) else None
        if message is None:
            message = str(error)
        shown["message"] = self._string(message)
        cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
        if cause is not None and len(self._path) < _MAX_CAUSES:
            shown["cause"] = self.visit(cause, depth + 1)
        if isinstance(error, BaseExceptionGroup):
            shown["exceptions"] = self._items(cast("tuple[object, ...]", error.exceptions), depth + 1)
        return shown


def _named_pair(value: object) -> tuple[str, object] | None:
    """Return a header or form field: a pair of which the first is a name that makes the second secret."""
    if not isinstance(value, tuple | list) or len(cast("Sequence[object]", value)) != 2:
        return None
    name, content = cast("Sequence[object]", value)
    if isinstance(name, bytes):
        name = name.decode("utf-8", "replace")
    return (name, content) if isinstance(name, str) and secrecy(name) is not Secrecy.OPEN else None


def _type_name(value: object) -> str:
    kind = type(value)
    module = kind.__module__
    return kind.__qualname__ if module == "builtins" else f"{module}.{kind.__qualname__}"


def _fields(value: object) -> Iterable[str] | None:
    """Return the names of the declared fields of a model object, or None if it declares none."""
    kind = type(value)
    if dataclasses.is_dataclass(kind):
        return [field.name for field in dataclasses.fields(kind)]
    attributes: object = getattr(kind, "__attrs_attrs__", None)
    if isinstance(attributes, tuple):
        return [str(getattr(attribute, "name", "")) for attribute in cast("tuple[object, ...]", attributes)]
    for source in ("model_fields", "__pydantic_fields__", "_fields", "__struct_fields__"):
        declared: object = getattr(kind, source, None)
        if isinstance(declared, Mapping | tuple):
            return [name for name in cast("Iterable[object]", declared) if isinstance(name, str)]
    return None
