"""Which calls of an SDK ask a model for an answer, and in which wire format.

Everything else an SDK can do (files, batches, embeddings, lists of models) has no other model to turn to: it passes through with
retries and a breaker.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from importlib import import_module
from typing import TYPE_CHECKING, Final, cast
from urllib.parse import unquote

if TYPE_CHECKING:
    from resilient_ai.messages import JSON
    from resilient_ai.models.wire import Codec

_PATHS: Final[tuple[tuple[re.Pattern[str], str, str], ...]] = (
    (re.compile(r"(?:.*/)?chat/completions"), "openai_chat", "OpenAIChat"),
    (re.compile(r"(?:openai/)?(?:v1/)?responses"), "openai_responses", "OpenAIResponses"),
    (re.compile(r"(?:v1/)?messages"), "anthropic", "Anthropic"),
    (re.compile(r".*models/[^/]+:(?:stream)?generateContent", re.IGNORECASE), "gemini", "Gemini"),
    (re.compile(r"(?:.*/)?api/chat"), "ollama", "Ollama"),
    (re.compile(r"(?:.*/)?v2/chat"), "cohere", "Cohere"),
    (re.compile(r"(?:.*/)?model/[^/]+/converse(?:-stream)?"), "bedrock", "Bedrock"),
)
"""The path of a POST below the client's base URL, whole; the codec's module and class."""


@lru_cache(maxsize=256)
def codec_of(method: str, path: str) -> Codec | None:
    """The wire format of a call, or None if it does not ask a model for an answer that another one could give. Codecs hold no state.

    Args:
        method: The HTTP method.
        path: The path, with or without its query.
    """
    if method.upper() != "POST":
        return None
    plain = path.partition("?")[0].strip("/")
    for pattern, module, name in _PATHS:
        if pattern.fullmatch(plain):
            try:
                found = import_module(f"resilient_ai.models.wire.{module}")
            except ModuleNotFoundError as error:
                if error.name == f"resilient_ai.models.wire.{module}":
                    return None
                raise
            return cast("Codec", getattr(found, name)())
    return None


def in_frames(codec: Codec) -> Codec:
    """`codec` for a client that reads its streams out of frames of AWS."""
    if codec.format != "anthropic":
        return codec
    from resilient_ai.models.wire.anthropic.invoked import InvokedAnthropic

    return InvokedAnthropic()


def model_in(codec: Codec, path: str, body: Mapping[str, JSON]) -> str:
    """The model a request names: in its body, or, as Google's and Bedrock's do, in its path."""
    named = body.get("model")
    if isinstance(named, str) and named:
        return named
    if codec.format == "gemini":
        return path.partition("?")[0].rpartition("/")[2].partition(":")[0]
    if codec.format == "bedrock":
        return unquote(path.strip("/").split("/")[-2])
    return "unnamed"


def wants_usage(codec: Codec, body: Mapping[str, JSON]) -> bool:
    """Whether a stream is to tell its token counts: in the chat format only if it was asked to, elsewhere always."""
    if codec.format != "openai-chat":
        return True
    options = body.get("stream_options")
    return isinstance(options, Mapping) and bool(options.get("include_usage"))


def resource_of(path: str) -> str:
    """The kind of thing a call that passes through is about: `files`, `embeddings`."""
    parts = [part for part in path.partition("?")[0].split("/") if part and part not in ("v1", "openai")]
    return parts[0] if parts else "root"
