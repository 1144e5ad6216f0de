"""What an answer has to be: a type it fits, checks it passes. pydantic is loaded only where a type is given."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, TypeAlias, cast, final

from resilient_ai.core.failure import FailureKind, verdict_of
from resilient_ai.core.model import CheckRaised
from resilient_ai.errors import ConfigError, InvalidOutput, ModelError
from resilient_ai.messages import JSON, OutputSchema

if TYPE_CHECKING:
    from types import TracebackType

    from resilient_ai.messages import Reply

OutputCheck: TypeAlias = "Callable[[Reply], object]"
"""Looks at an answer. It passes by returning None or True; it fails by returning False or text that says what is wrong, or by raising
ValueError or AssertionError. The text goes back to the model on a re-ask, and stands nowhere else. Anything else it raises is a fault of
the check itself."""

MAX_PROBLEMS: Final = 5
"""Faults named in one re-ask; a model mends a few at a time."""
_FENCE: Final = re.compile(r"\A\s*```[a-zA-Z]*\s*\n(.*)\n\s*```\s*\Z", re.DOTALL)


@final
class Expectation:
    """An output type and checks, prepared once and used for every answer. Immutable; safe to share.

    Args:
        output_type: A pydantic model, dataclass, TypedDict, Literal or any type pydantic knows; None asks for plain text.
        checks: Called in order once the type fits.
        objects_to: Failure kinds the user gave an action for: a filtered answer or an empty one then fails instead of being flagged.

    Raises:
        ConfigError: pydantic cannot make a schema of `output_type`, or a check is not callable.
    """

    __slots__ = ("_adapter", "_checks", "_name", "_objects_to", "schema")

    def __init__(
        self,
        output_type: object | None,
        checks: Sequence[OutputCheck],
        objects_to: frozenset[FailureKind] = frozenset(),
    ) -> None:
        self._objects_to = objects_to
        for check in checks:
            if not callable(check):
                raise ConfigError(
                    f"checks holds a {type(check).__name__}; each must be a function of one Reply.",
                    key="checks",
                )
        self._checks = tuple(checks)
        self._adapter: Any = None
        self._name = _type_name(output_type)
        self.schema: OutputSchema | None = None
        if output_type is None:
            return
        if isinstance(output_type, str | Mapping):
            raise ConfigError(
                f"output_type is of type {type(cast('object', output_type)).__name__}; give a type: a pydantic model, a dataclass, a TypedDict "
                "or a Literal.",
                key="output_type",
            )
        from pydantic import TypeAdapter
        from pydantic.errors import PydanticUserError

        try:
            self._adapter = TypeAdapter(cast("Any", output_type))
            schema = cast("Mapping[str, JSON]", self._adapter.json_schema())
        except PydanticUserError as error:
            mend = (
                "take TypedDict from typing_extensions on Python below 3.12"
                if error.code == "typed-dict-version"
                else "use a pydantic model, a dataclass, a TypedDict or a Literal"
            )
            raise ConfigError(
                f"output_type {_shown(output_type)} has no JSON schema; {mend}.", key="output_type"
            ) from error
        self.schema = OutputSchema(self._name, _as_object(schema))

    def check(self, reply: Reply) -> Reply:
        """`reply` with `output` filled in, if it is what was asked.

        Raises:
            InvalidOutput: It is not; `draft` is `reply`, `problem` says what is wrong without repeating it.
            ModelError: It was filtered or refused, and the user gave an action for that.
            CheckRaised: A check, or a validator of the type, raised what is no objection to an answer.
        """
        if self._objects_to:
            self._object(reply)
        if self._adapter is not None:
            reply = replace(reply, output=self._parsed(reply))
        for check in self._checks:
            problem = _problem_of(check, reply)
            if problem is not None:
                name = _name_of(check)
                raise InvalidOutput(
                    f"the answer failed the check {name!r}", draft=reply, problem=problem, check=name
                )
        return reply

    def _object(self, reply: Reply) -> None:
        filtered = reply.finish_reason in ("content_filtered", "refusal") or reply.refusal is not None
        if filtered and FailureKind.CONTENT_FILTERED in self._objects_to:
            raise ModelError(
                "the answer was filtered or refused",
                verdict=verdict_of(FailureKind.CONTENT_FILTERED, sent=True),
                model=reply.model,
                provider=reply.provider,
                partial=reply,
            )
        if (
            not filtered
            and not reply.text
            and not reply.tool_calls
            and reply.output is None
            and FailureKind.INVALID_OUTPUT in self._objects_to
        ):
            raise self._invalid(reply, "It was empty.", "empty")

    def _parsed(self, reply: Reply) -> object:
        if reply.finish_reason == "length":
            raise self._invalid(
                reply, "It was cut off at the token limit before it was complete.", "truncated"
            )
        if reply.refusal is not None or reply.finish_reason in ("refusal", "content_filtered"):
            raise self._invalid(reply, "It was a refusal.", "a refusal")
        if reply.output is not None and not reply.text:
            return reply.output
        text = reply.text.strip()
        fenced = _FENCE.match(text)
        if fenced:
            text = fenced.group(1)
        if not text:
            raise self._invalid(reply, "It was empty.", "empty")
        from pydantic import ValidationError

        try:
            return self._from_json(text)
        except ValidationError as error:
            faults = error.errors(include_url=False, include_context=False, include_input=False)
            known = _names(self.schema)
            shown = [
                f"at {_place(fault['loc'], known)}: {_meaning(fault['type'])}"
                for fault in faults[:MAX_PROBLEMS]
            ]
            more = f" and {len(faults) - MAX_PROBLEMS} more" if len(faults) > MAX_PROBLEMS else ""
            told = f"{'; '.join(shown)}{more}"
            raise self._invalid(reply, f"It does not fit the schema {self._name}: {told}.", told) from None
        except RecursionError:
            raise self._invalid(reply, "It is nested too deeply.", "nested too deeply") from None
        except Exception as fault:
            raise CheckRaised(fault, f"a validator of {self._name}{_innermost(fault)}", reply) from fault

    def _from_json(self, text: str) -> object:
        from pydantic import ValidationError

        try:
            return self._adapter.validate_json(text)
        except ValidationError as error:
            # A scalar type is wrapped on the wire, and a model may answer a Literal or a string without quotes.
            if self.schema is None or self.schema.schema is None or not _is_wrapped(self.schema.schema):
                raise
            try:
                import json

                value = json.loads(text)
            except ValueError:
                value = text
            if isinstance(value, dict) and set(cast("dict[str, object]", value)) == {_WRAPPED}:
                value = cast("dict[str, object]", value)[_WRAPPED]
            try:
                return self._adapter.validate_python(value)
            except ValidationError:
                raise error from None

    def _invalid(self, reply: Reply, problem: str, what: str) -> InvalidOutput:
        return InvalidOutput(f"the answer is not a valid {self._name}: {what}", draft=reply, problem=problem)


@lru_cache(maxsize=64)
def _kept(
    output_type: object | None, checks: tuple[OutputCheck, ...], objects_to: frozenset[FailureKind]
) -> Expectation:
    return Expectation(output_type, checks, objects_to)


def expectation(
    output_type: object | None, checks: tuple[OutputCheck, ...], objects_to: frozenset[FailureKind]
) -> Expectation:
    """The expectation for these, made once: building a schema takes a millisecond, more than the rest of a call's bookkeeping.

    Raises:
        ConfigError: As for `Expectation`.
    """
    try:
        hash((output_type, checks))
    except TypeError:
        return Expectation(output_type, checks, objects_to)
    return _kept(output_type, checks, objects_to)


_WRAPPED: Final = "value"
"""Providers' structured output wants an object at the top; other types travel inside one."""


def _as_object(schema: Mapping[str, JSON]) -> Mapping[str, JSON]:
    if schema.get("type") == "object" or "$ref" in schema or "properties" in schema:
        return schema
    inner = {key: value for key, value in schema.items() if key != "$defs"}
    wrapped: dict[str, JSON] = {
        "type": "object",
        "title": _WRAPPED,
        "properties": {_WRAPPED: inner},
        "required": [_WRAPPED],
        "additionalProperties": False,
    }
    if "$defs" in schema:
        wrapped["$defs"] = schema["$defs"]
    return wrapped


def _is_wrapped(schema: Mapping[str, JSON]) -> bool:
    return schema.get("title") == _WRAPPED and schema.get("required") == [_WRAPPED]


def _type_name(output_type: object) -> str:
    name = getattr(output_type, "__name__", None)
    return re.sub(r"[^a-zA-Z0-9_-]", "_", str(name)) if name else "output"


def _shown(output_type: object) -> str:
    """The type's own name, or what it is where it has none."""
    return getattr(output_type, "__name__", None) or f"of type {type(output_type).__name__}"


def _names(schema: OutputSchema | None) -> frozenset[str]:
    """The names of fields in a schema."""
    found: set[str] = set()
    todo: list[object] = [] if schema is None else [schema.schema]
    while todo:
        node = todo.pop()
        if isinstance(node, Mapping):
            fields = cast("Mapping[str, object]", node)
            properties = fields.get("properties")
            if isinstance(properties, Mapping):
                found.update(cast("Mapping[str, object]", properties))
            todo += fields.values()
        elif isinstance(node, list):
            todo += cast("list[object]", node)
    return frozenset(found)


def _place(location: Sequence[object], known: frozenset[str]) -> str:
    """Where in the answer a fault is. What is no name of the schema stands as `*`: the model wrote it."""
    parts = [str(part) if isinstance(part, int) or part in known else "*" for part in location]
    return ".".join(parts) or "the top"


def _meaning(kind: str) -> str:
    return kind.replace("_", " ")


def _line(trace: TracebackType | None) -> str:
    return "" if trace is None else f" at {trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}"


def _innermost(error: Exception) -> str:
    """The line `error` came from."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return _line(trace)


def _name_of(check: OutputCheck) -> str:
    return str(getattr(check, "__name__", type(check).__name__))


def _problem_of(check: OutputCheck, reply: Reply) -> str | None:
    try:
        result = check(reply)
    except (ValueError, AssertionError) as error:  # what pydantic's validators may raise, too
        return str(error) or "It did not pass a check."
    except InvalidOutput:
        raise
    except Exception as fault:
        own = fault.__traceback__.tb_next if fault.__traceback__ is not None else None
        raise CheckRaised(fault, f"the check {_name_of(check)!r}{_line(own)}", reply) from fault
    if result is False:
        return f"It did not pass the check {_name_of(check)}."
    return result if isinstance(result, str) and result else None
