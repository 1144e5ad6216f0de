"""Where a text model stands in for a function: what it is asked, and whether text is what the function returns."""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from resilient_ai.asking import request_of
from resilient_ai.errors import ConfigError, InvalidRequest
from resilient_ai.messages import Message, Text

if TYPE_CHECKING:
    from resilient_ai.asking import Messages
    from resilient_ai.decorator.invocation import Invocation

Prompt: TypeAlias = "Callable[..., Messages]"
"""What a text model is asked when the function was called with these arguments."""

_SPELLINGS: Final = frozenset({"str", "Any", "typing.Any", "object"})


def names_of(function: Callable[..., object]) -> tuple[str, ...]:
    """The names of the parameters, in their order."""
    try:
        return tuple(inspect.signature(function).parameters)
    except (TypeError, ValueError):
        return ()
    except NameError:  # Python 3.14 looks annotations up here, and some exist for type checkers only
        code: types.CodeType = inspect.unwrap(function).__code__
        return code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]


def messages_of(made: Invocation, prompt: Prompt | None, names: Sequence[str]) -> tuple[Message, ...]:
    """What a text model is asked: what `prompt` says, or the first text among the arguments.

    Raises:
        InvalidRequest: No argument is text and there is no `prompt`.
    """
    if prompt is not None:
        return request_of(prompt(*made.args, **made.kwargs), (), {}, None, None).messages
    for value in (*made.args, *(made.kwargs[name] for name in names if name in made.kwargs)):
        if isinstance(value, str):
            return (Message("user", (Text(value),)),)
    raise InvalidRequest(
        "A text model stands behind this function, and none of the arguments is text to ask it. Give @resilient a `prompt=` "
        "that makes messages of the arguments."
    )


def check_returns_text(function: Callable[..., object], *, streaming: bool) -> None:
    """Refuses a text model behind a function that does not return text.

    Raises:
        ConfigError: The annotated type is neither `str`, nor a union with it, nor `Any` or `object`. Without annotation all is allowed.
    """
    returned = _annotated(function)
    if returned is None:
        return
    if streaming:
        returned = _item(returned)
    if not _takes_text(returned):
        what = "yields" if streaming else "returns"
        name = getattr(function, "__qualname__", repr(function))
        help_ = (
            "Stand a generator behind it"
            if streaming
            else "Give @resilient a `result=` that makes it of the reply"
        )
        raise ConfigError(
            f"{name} {what} {_spelled(returned)}, and a text model behind it could only give text. {help_}, or drop the model.",
            key="fallback",
        )


def _annotated(function: Callable[..., object]) -> object | None:
    try:
        return typing.get_type_hints(function).get("return")
    except Exception:  # noqa: BLE001 - annotations may name what exists for type checkers only
        return _written(function)


def _written(function: Callable[..., object]) -> object | None:
    """The annotation as it stands in the source, where it cannot be looked up; None if that is not kept."""
    try:
        raw: object = getattr(function, "__annotations__", {}).get("return")
    except NameError:
        return None
    return raw


def _item(returned: object) -> object:
    """The item type of an iterator's annotation."""
    if isinstance(returned, str):
        _, bracket, inside = returned.partition("[")
        return inside.rstrip("]").split(",")[0].strip() if bracket else "Any"
    arguments = typing.get_args(returned)
    return arguments[0] if arguments else Any


def _takes_text(returned: object) -> bool:
    if isinstance(returned, str):
        return any(part.strip() in _SPELLINGS for part in returned.split("|"))
    if typing.get_origin(returned) in (typing.Union, types.UnionType):
        return any(_takes_text(part) for part in typing.get_args(returned))
    return any(returned is taken for taken in (str, Any, object)) or isinstance(returned, typing.TypeVar)


def _spelled(returned: object) -> str:
    return returned if isinstance(returned, str) else getattr(returned, "__name__", str(returned))
