"""The wire formats the server speaks, and which one a path asks for."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import ClassVar, Final, Literal, Protocol, TypeAlias
from urllib.parse import unquote

from resilient_ai.messages import JSON
from resilient_ai.testing.fault_server.dialects.answer import Answer, Event, Framing, JsonObject
from resilient_ai.testing.fault_server.dialects.anthropic import Anthropic
from resilient_ai.testing.fault_server.dialects.bedrock import Bedrock
from resilient_ai.testing.fault_server.dialects.cohere import Cohere
from resilient_ai.testing.fault_server.dialects.gemini import Gemini
from resilient_ai.testing.fault_server.dialects.meaning import Meaning
from resilient_ai.testing.fault_server.dialects.ollama import Ollama
from resilient_ai.testing.fault_server.dialects.openai_chat import OpenAIChat
from resilient_ai.testing.fault_server.dialects.openai_responses import OpenAIResponses

DialectName: TypeAlias = Literal["openai", "anthropic", "gemini", "ollama", "cohere", "bedrock"]

BASE_PATHS: Final[Mapping[DialectName, str]] = {
    "openai": "/openai/v1",
    "anthropic": "/anthropic",
    "gemini": "/gemini",
    "ollama": "/ollama",
    "cohere": "/cohere",
    "bedrock": "/bedrock",
}
"""What stands between the fault and the path a client adds by itself."""

_DEFAULT_MODEL: Final = "fault-server-1"
_GEMINI_PATH: Final = re.compile(r"/models/([^/:]+):(stream)?[gG]enerateContent$")
_BEDROCK_PATH: Final = re.compile(r"/model/([^/]+)/converse(-stream)?$")


class Dialect(Protocol):
    """Writes an answer in one wire format. Stateless, so shared between threads."""

    name: ClassVar[str]
    """Its name, for faults that differ by dialect."""
    framing: ClassVar[Framing]
    """How its streams are framed."""
    eol: ClassVar[bytes]
    """The line end its streams use when nothing is wrong."""
    carrier: ClassVar[str]
    """The key of a plain answer under which the content lies."""
    event_carrier: ClassVar[str]
    """The key of a stream event under which the content lies."""

    def unary(self, answer: Answer) -> JsonObject:
        """The body of a plain answer."""
        ...

    def events(self, answer: Answer) -> list[Event]:
        """The events of a streamed answer, complete and in order."""
        ...

    def text_event(self, answer: Answer, piece: str, index: int) -> Event:
        """The event that carries `piece`, the `index`-th of the text."""
        ...

    def error(self, status: int, meaning: Meaning | None = None, message: str | None = None) -> JsonObject:
        """The body of an error."""
        ...

    def error_event(self, status: int, meaning: Meaning | None = None) -> Event:
        """An error as it arrives inside a stream that began with 200."""
        ...


OPENAI_CHAT: Final[Dialect] = OpenAIChat()
OPENAI_RESPONSES: Final[Dialect] = OpenAIResponses()
ANTHROPIC: Final[Dialect] = Anthropic()
GEMINI: Final[Dialect] = Gemini()
OLLAMA: Final[Dialect] = Ollama()
COHERE: Final[Dialect] = Cohere()
BEDROCK: Final[Dialect] = Bedrock()

_ROUTES: Final[Mapping[str, Dialect]] = {
    "/chat/completions": OPENAI_CHAT,
    "/responses": OPENAI_RESPONSES,
    "/messages": ANTHROPIC,
    "/api/chat": OLLAMA,
    "/v2/chat": COHERE,
}


def route(path: str) -> Dialect | None:
    """The dialect a request path asks for, judged by its end; None if no model lives there."""
    if _GEMINI_PATH.search(path):
        return GEMINI
    if _BEDROCK_PATH.search(path):
        return BEDROCK
    for suffix, dialect in _ROUTES.items():
        if path.endswith(suffix):
            return dialect
    return None


def wants_stream(dialect: Dialect, path: str, body: Mapping[str, JSON]) -> bool:
    """Whether the client asked for a stream, by the rule of the real API."""
    if dialect is GEMINI:
        return ":streamGenerateContent" in path
    if dialect is BEDROCK:
        return path.endswith("-stream")
    return bool(body.get("stream", dialect is OLLAMA))


def ask(dialect: Dialect, path: str, body: Mapping[str, JSON], answer_id: str) -> Answer:
    """The good answer to a request: the model it names, the usage it asks for."""
    model = body.get("model")
    if dialect is GEMINI and (match := _GEMINI_PATH.search(path)):
        model = match[1]
    if dialect is BEDROCK and (match := _BEDROCK_PATH.search(path)):
        model = unquote(match[1])
    options = body.get("stream_options")
    include = isinstance(options, Mapping) and options.get("include_usage") is True
    return Answer(
        id=answer_id,
        model=model if isinstance(model, str) else _DEFAULT_MODEL,
        usage_in_stream=include,
    )
