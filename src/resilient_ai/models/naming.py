"""From what a user writes in a chain to a model: `"openai:gpt-5.2"`, a function, a model."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Final, cast

from resilient_ai.errors import ConfigError

if TYPE_CHECKING:
    from resilient_ai.core.model import Model

_BUILT_IN: Final = {
    "openai": "OpenAIModel",
    "openai-responses": "OpenAIResponsesModel",
    "anthropic": "AnthropicModel",
    "gemini": "GeminiModel",
    "google": "GeminiModel",
    "ollama": "OllamaModel",
    "on-device": "OnDeviceModel",
    "canned": "canned",
}

ENTRY_POINTS: Final = "resilient_ai.models"
"""Packages add providers under this entry point group: a callable that takes the model's name."""


def model_of(what: str | Model | Callable[..., object]) -> Model:
    """The model `what` stands for.

    Raises:
        ConfigError: A name has no known provider, or `what` is nothing that can answer, such as a model's class.
    """
    if isinstance(what, str):
        return _by_name(what)
    if hasattr(what, "answer") and hasattr(what, "open") and hasattr(what, "traits"):
        if isinstance(what, type):
            raise ConfigError(f"{what.__name__} is a class; a chain takes models made of it.")
        return cast("Model", what)
    if callable(what):
        from resilient_ai.models.function import FunctionModel

        return FunctionModel(what)
    raise ConfigError(
        f"Nothing of type {type(what).__name__} can answer; a chain takes names such as 'openai:gpt-5.2', models and functions. "
        "An SDK's client stays what it is under wrap(client)."
    )


def _by_name(written: str) -> Model:
    provider, colon, name = written.partition(":")
    extra = {point.name: point for point in entry_points(group=ENTRY_POINTS)}
    known = sorted({*_BUILT_IN, *extra})
    if not colon or not name:
        near = difflib.get_close_matches(provider, known, 1)
        raise ConfigError(
            f"{written!r} is not a model; write provider:name, with one of {', '.join(known)}.",
            suggestion=f"{near[0]}:..." if near else None,
        )
    if provider in _BUILT_IN:
        from resilient_ai import models

        make: Callable[[str], Model] = getattr(models, _BUILT_IN[provider])
        return make(name)
    if provider in extra:
        return cast("Callable[[str], Model]", extra[provider].load())(name)
    near = difflib.get_close_matches(provider, known, 1)
    raise ConfigError(
        f"{written!r} names an unknown provider; the providers are {', '.join(known)}.",
        suggestion=f"{near[0]}:{name}" if near else None,
    )
