"""Who can answer: remote providers, the device, plain functions, fixed texts. Loaded at first use, one by one."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from resilient_ai.core.model import Model, Price, Traits
    from resilient_ai.models.anthropic import AnthropicModel
    from resilient_ai.models.canned import CannedModel, canned
    from resilient_ai.models.function import FunctionModel
    from resilient_ai.models.gemini import GeminiModel
    from resilient_ai.models.ollama import OllamaModel
    from resilient_ai.models.on_device.model import OnDeviceModel
    from resilient_ai.models.openai import OpenAIModel
    from resilient_ai.models.openai_responses import OpenAIResponsesModel

__all__ = [
    "AnthropicModel",
    "CannedModel",
    "FunctionModel",
    "GeminiModel",
    "Model",
    "OllamaModel",
    "OnDeviceModel",
    "OpenAIModel",
    "OpenAIResponsesModel",
    "Price",
    "Traits",
    "canned",
]

_HOMES = {
    "AnthropicModel": "resilient_ai.models.anthropic",
    "CannedModel": "resilient_ai.models.canned",
    "FunctionModel": "resilient_ai.models.function",
    "GeminiModel": "resilient_ai.models.gemini",
    "Model": "resilient_ai.core.model",
    "OllamaModel": "resilient_ai.models.ollama",
    "OnDeviceModel": "resilient_ai.models.on_device.model",
    "OpenAIModel": "resilient_ai.models.openai",
    "OpenAIResponsesModel": "resilient_ai.models.openai_responses",
    "Price": "resilient_ai.core.model",
    "Traits": "resilient_ai.core.model",
    "canned": "resilient_ai.models.canned",
}


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = import_module(home)
    # All names of a home at once: loading `models.canned` leaves the module itself in the place of the function `canned`.
    globals().update({other: getattr(module, other) for other, place in _HOMES.items() if place == home})
    return globals()[name]


def __dir__() -> list[str]:
    return sorted(__all__)
