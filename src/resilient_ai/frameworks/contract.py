"""What every framework's module asks of a chain, and what it tells of a call."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final, cast

from resilient_ai.errors import ConfigError, InvalidRequest
from resilient_ai.messages import OutputSchema
from resilient_ai.model import ResilientModel
from resilient_ai.options import options_here

if TYPE_CHECKING:
    from resilient_ai.messages import Chunk, DataClassName

OUTCOME: Final = "outcome"
"""The key under which a framework's own metadata holds how the call went (`history.outcome_document`)."""

_RESTARTS: Final = "on_interrupt='restart' takes back what a stream delivered, which this framework has no way to do; use 'raise' or 'continue'."


def require(library: str, extra: str) -> None:
    """Tells how to install a framework that is not there, before anything of it is imported.

    Raises:
        ModuleNotFoundError: `library` is not installed.
    """
    try:
        found = find_spec(library)
    except ModuleNotFoundError:  # not even the package it lies in
        found = None
    if found is None:
        raise ModuleNotFoundError(
            f"{library} is not installed: pip install 'resilient_ai[{extra}]'", name=library
        )


def usable(model: object) -> ResilientModel:
    """`model`, if a framework can be served by it.

    Raises:
        ConfigError: It is no `ResilientModel`, or takes back what a stream delivered.
    """
    if not isinstance(model, ResilientModel):
        raise ConfigError(
            f"a {type(model).__name__} is no chain; give a ResilientModel, for example ResilientModel(['openai:gpt-5.2']).",
            key="model",
        )
    if model.plan.on_interrupt == "restart":
        raise ConfigError(_RESTARTS, key="on_interrupt")
    return model


def arguments(
    own: Mapping[str, object], given: Mapping[str, object]
) -> tuple[OutputSchema | None, dict[str, Any]]:
    """The form of the answer, and the other arguments for the chain: a model's `own` settings under those `given` with a call.

    Raises:
        InvalidRequest: `tool_choice` or `response_format` is of a form that nobody knows.
    """
    options: dict[str, Any] = {**own, **given}
    if "data_class" in own and "data_class" not in given:
        options["data_class"] = data_class_of(cast("DataClassName", own["data_class"]))
    if "tool_choice" in options:
        options["tool_choice"] = _tool_choice(options["tool_choice"])
    return _output_schema(options.pop("response_format", None)), options


def data_class_of(own: DataClassName | None) -> DataClassName | None:
    """How sensitive a call is that says nothing of it: what the blocks around it say, else what the framework's model was made with."""
    options = options_here()
    return own if options is None else options.data_class or own


def _tool_choice(choice: object) -> str | None:
    """`Request.tool_choice` for what a framework's user wrote: a word, a tool's name, or OpenAI's form."""
    if choice is None:
        return None
    if choice is True or choice in ("any", "required"):
        return "required"
    if isinstance(choice, str):
        return choice if choice in ("auto", "none") or choice.startswith("tool:") else f"tool:{choice}"
    if isinstance(choice, Mapping):
        told = cast("Mapping[str, Any]", choice)
        name = cast("Mapping[str, Any]", told.get("function") or told).get("name")
        if isinstance(name, str):
            return f"tool:{name}"
    raise InvalidRequest(
        "tool_choice must be 'auto', 'none', 'any', a tool's name, or {'function': {'name': ...}}."
    )


def _output_schema(form: object) -> OutputSchema | None:
    """What `response_format`, in OpenAI's form, asks for."""
    if form is None:
        return None
    told = cast("Mapping[str, Any]", form if isinstance(form, Mapping) else {})
    if told.get("type") == "json_object":
        return OutputSchema("json", None, strict=False)
    inner = told.get("json_schema")
    if told.get("type") != "json_schema" or not isinstance(inner, Mapping):
        raise InvalidRequest(
            "response_format must be {'type': 'json_schema', ...} or {'type': 'json_object'}; "
            "for a class use the framework's own structured output."
        )
    described = cast("Mapping[str, Any]", inner)
    return OutputSchema(
        described.get("name") or "output", described.get("schema"), strict=bool(described.get("strict"))
    )


def refuse_restart(chunk: Chunk) -> None:
    """Ends a stream that begins anew: the chain was given that policy by a `reload` after it was accepted.

    Raises:
        ConfigError: `chunk` says that what came before it is void.
    """
    if chunk.restarted:
        raise ConfigError(_RESTARTS, key="on_interrupt")
