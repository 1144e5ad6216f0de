"""Who can serve a model: the library's own providers, and those installed as entry points."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import Final, final

ENTRY_POINTS: Final = "resilient_ai.models"
"""Group of the entry points. Each loads to a callable that takes `model` (or `path`, or `text`) as its first argument and the other
settings of its table as keyword arguments, with those in `options` among them, and gives a model."""


@final
@dataclass(frozen=True, slots=True)
class Takes:
    """What the table of a model of one provider holds.

    Attributes:
        factory: Name of the class in `resilient_ai.models`.
        required: Keys that must stand in the table.
        optional: Keys that may.
    """

    factory: str
    required: tuple[str, ...]
    optional: tuple[str, ...]


_REMOTE: Final = ("api_key", "base_url", "context_tokens", "data_classes", "price", "timeouts")

_ON_DEVICE: Final = (
    "capabilities",
    "context_tokens",
    "data_classes",
    "idle_seconds",
    "max_tokens",
    "sha256",
    "slots",
    "threads",
    "timeouts",
)

PROVIDERS: Final = {
    "openai": Takes("OpenAIModel", ("model",), _REMOTE),
    "openai-responses": Takes("OpenAIResponsesModel", ("model",), _REMOTE),
    "anthropic": Takes("AnthropicModel", ("model",), _REMOTE),
    "gemini": Takes("GeminiModel", ("model",), _REMOTE),
    "ollama": Takes("OllamaModel", ("model",), _REMOTE),
    "on-device": Takes("OnDeviceModel", ("path",), _ON_DEVICE),
    "canned": Takes("canned", ("text",), ()),
}
"""The library's own providers."""


def installed_providers() -> dict[str, EntryPoint]:
    """Providers of other packages, by name. None of them takes the place of one of the library's own."""
    return {point.name: point for point in entry_points(group=ENTRY_POINTS) if point.name not in PROVIDERS}


def provider_names() -> list[str]:
    """Every provider a table may name."""
    return [*PROVIDERS, *sorted(installed_providers())]
