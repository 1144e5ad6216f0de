"""The vocabulary of a call: what is asked, what comes back, and the history of how it came.

Everything here is a frozen, slotted dataclass without behaviour beyond reading itself. `repr` never shows
content: a request or a reply that ends up in a log line shows its shape and sizes only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias, cast, final

from resilient_ai.core.construct import made_quickly
from resilient_ai.core.failure import FailureKind
from resilient_ai.core.identifiers import identifier, place

JSON: TypeAlias = "str | int | float | bool | None | Sequence[JSON] | Mapping[str, JSON]"
Role: TypeAlias = Literal["system", "user", "assistant", "tool"]
FinishReason: TypeAlias = Literal["stop", "length", "tool_calls", "content_filtered", "refusal", "other"]
DataClassName: TypeAlias = Literal["public", "internal", "personal", "restricted"]

_NO_EXTRA: Mapping[str, JSON] = {}


def _name(text: str) -> str:
    """A name or identifier for a `repr`; what a provider or a caller put in its place is content."""
    return f"<{len(text)} characters>" if identifier(text) is None and text else repr(text)


@final
@made_quickly
@dataclass(frozen=True, slots=True)
class Text:
    """A run of text."""

    text: str

    def __repr__(self) -> str:
        return f"Text(<{len(self.text)} characters>)"


@final
@made_quickly
@dataclass(frozen=True, slots=True)
class Image:
    """A picture, by address or by value; exactly one of `url` and `data` is set.

    Attributes:
        url: An http(s) address the provider fetches.
        data: The bytes in base64, with `media_type`.
        media_type: For example `image/png`; None with a `url`.
        detail: The provider's resolution hint (`low`, `high`, `auto`), or None.
    """

    url: str | None = None
    data: str | None = None
    media_type: str | None = None
    detail: str | None = None

    def __repr__(self) -> str:
        size = (
            f"url of {len(self.url)} characters"
            if self.url is not None
            else f"{len(self.data or '')} characters"
        )
        return f"Image(<{size}>, media_type={self.media_type!r})"


@final
@made_quickly
@dataclass(frozen=True, slots=True)
class Reasoning:
    """What a model thought before it answered; kept apart from the text and never sent to another model.

    Attributes:
        text: The readable part; may be empty.
        opaque: Provider-private state (a signature, encrypted content) by field name. Stripped on every hop.
    """

    text: str
    opaque: Mapping[str, JSON] = field(default_factory=lambda: _NO_EXTRA)

    def __repr__(self) -> str:
        return f"Reasoning(<{len(self.text)} characters>)"


@final
@made_quickly
@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call a model wants made.

    Attributes:
        id: The identifier its result refers to. Invented where the wire format has none.
        name: The tool's name.
        arguments: JSON text as the model wrote it. It may be invalid JSON: `parsed` tells.
        opaque: Provider-private state bound to this call. Stripped on every hop.
    """

    id: str
    name: str
    arguments: str
    opaque: Mapping[str, JSON] = field(default_factory=lambda: _NO_EXTRA)

    def parsed(self) -> dict[str, JSON] | None:
        """The arguments as an object, or None if the model wrote anything else."""
        import json

        try:
            value: object = json.loads(self.arguments or "{}")
        except (ValueError, RecursionError):
            return None
        return cast("dict[str, JSON]", value) if isinstance(value, dict) else None

    def __repr__(self) -> str:
        return f"ToolCall(id={_name(self.id)}, name={_name(self.name)}, arguments=<{len(self.arguments)} characters>)"


@final
@made_quickly
@dataclass(frozen=True, slots=True)
class ToolResult:
    """What a tool gave back for the call `call_id`.

    Attributes:
        call_id: `ToolCall.id` of the call this answers.
        content: Text for the model, JSON or not.
        name: The tool's name, where known; two wire formats ask for it.
        is_error: The tool failed and `content` says how.
    """

    call_id: str
    content: str
    name: str | None = None
    is_error: bool = False

    def __repr__(self) -> str:
        return f"ToolResult(call_id={_name(self.call_id)}, content=<{len(self.content)} characters>)"


@final
@made_quickly
@dataclass(frozen=True, slots=True)
class Foreign:
    """Content of one wire format that no other has (a document, audio, a server-side tool's block).

    It goes back verbatim to the format it came from and refuses a hop to any other, naming `field`.

    Attributes:
        format: The wire format it belongs to (`openai-chat`, `anthropic`, ...).
        field: Where it stood, for the error that refuses a hop (`messages[3].content[1].input_audio`).
        value: The part as it was on the wire.
    """

    format: str
    field: str
    value: JSON

    def __repr__(self) -> str:
        return f"Foreign(format={self.format!r}, field={place(self.field)!r})"


Part: TypeAlias = Text | Image | Reasoning | ToolCall | ToolResult | Foreign


@final
@made_quickly
@dataclass(frozen=True, slots=True)
class Message:
    """One turn.

    Attributes:
        role: Who speaks. Tool results stand in messages of role `tool`.
        parts: What is said, in order.
        name: The speaker's name where a format carries one.
    """

    role: Role
    parts: tuple[Part, ...]
    name: str | None = None

    @property
    def text(self) -> str:
        """All text of this turn, joined."""
        if len(self.parts) == 1 and isinstance(self.parts[0], Text):
            return self.parts[0].text
        return "".join(part.text for part in self.parts if isinstance(part, Text))


@final
@made_quickly
@dataclass(frozen=True, slots=True)
class Tool:
    """A function the model may ask to have called. `parameters` is a JSON Schema of an object."""

    name: str
    description: str | None = None
    parameters: Mapping[str, JSON] = field(default_factory=lambda: _NO_EXTRA)
    strict: bool | None = None


@final
@made_quickly
@dataclass(frozen=True, slots=True)
class OutputSchema:
    """The JSON Schema an answer must fit. `schema` None asks for any JSON object."""

    name: str
    schema: Mapping[str, JSON] | None
    strict: bool = True


@final
@made_quickly
@dataclass(frozen=True, slots=True)
class Request:
    """What is asked of whichever model answers. Immutable; a hop encodes it in its own wire format.

    Attributes:
        messages: The conversation so far, oldest first; empty only with a `payload`.
        tools: Functions the model may ask for.
        tool_choice: `auto`, `none`, `required`, or the name of one tool as `tool:NAME`; None leaves it to the provider.
        parallel_tool_calls: Whether several calls may come in one answer; None leaves it to the provider.
        max_tokens: Upper bound of output tokens, or None.
        temperature: Sampling temperature, or None.
        top_p: Nucleus sampling mass, or None.
        stop: Strings that end the answer.
        seed: Sampling seed, or None.
        output_schema: Structured output asked for, or None.
        reasoning_effort: `minimal | low | medium | high` where a provider has it, or None.
        data_class: How sensitive the content is; models not cleared for it are skipped.
        extra: Parameters of the wire format named by `extra_format`, passed to that format verbatim and dropped,
            visibly, for every other.
        extra_format: The format `extra` belongs to; None passes `extra` to every format.
        payload: What a decorated function was called with, for the functions of its chain. No model sends it and nothing shows it.
    """

    messages: tuple[Message, ...]
    tools: tuple[Tool, ...] = ()
    tool_choice: str | None = None
    parallel_tool_calls: bool | None = None
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    stop: tuple[str, ...] = ()
    seed: int | None = None
    output_schema: OutputSchema | None = None
    reasoning_effort: str | None = None
    data_class: DataClassName | None = None
    extra: Mapping[str, JSON] = field(default_factory=lambda: _NO_EXTRA)
    extra_format: str | None = None
    payload: object = None

    def __repr__(self) -> str:
        return f"Request(<{len(self.messages)} messages>, tools={len(self.tools)}, data_class={self.data_class!r})"


@final
@made_quickly
@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens as the provider counted them; None is unknown, never zero.

    Attributes:
        input_tokens: All input tokens, cached ones included.
        output_tokens: All output tokens, reasoning included.
        cached_tokens: The part of the input read from a cache.
        cache_creation_tokens: The part of the input written to a cache.
        reasoning_tokens: The part of the output spent on reasoning.
    """

    input_tokens: int | None = None
    output_tokens: int | None = None
    cached_tokens: int | None = None
    cache_creation_tokens: int | None = None
    reasoning_tokens: int | None = None


UNKNOWN_USAGE = Usage()


@final
@made_quickly
@dataclass(frozen=True, slots=True)
class Attempt:
    """One request on the wire, as the history of a call records it.

    Attributes:
        model: Name of the model asked.
        provider: Its provider.
        n: 1 for the first attempt at this model in this call.
        kind: Why it failed; None if it answered.
        seconds: How long it took.
        waited: Seconds waited before it.
        usage: Tokens, as far as known, also of a failed or cut attempt.
        cost: Money it cost in the price's currency; None is unknown, never 0.
        status: HTTP status, or None.
        code: The provider's own error code, or None.
        retry_after: The provider's wait hint in seconds, or None.
        request_id: The provider's identifier of the request, or None.
        verdict: What the engine did next: `answered | retry | re-ask | next | raise | interrupted | cancelled`;
            `hedged` where another request beside it answered, or went on.
    """

    model: str
    provider: str
    n: int
    kind: FailureKind | None
    seconds: float
    waited: float = 0.0
    usage: Usage = UNKNOWN_USAGE
    cost: float | None = None
    status: int | None = None
    code: str | None = None
    retry_after: float | None = None
    request_id: str | None = None
    verdict: str = "answered"


@final
@made_quickly
@dataclass(frozen=True, slots=True)
class Skip:
    """A model of the chain that was not asked, and why (`circuit_open`, `throttled`, `no_time`, `context`, ...)."""

    model: str
    provider: str
    reason: str
    retry_after: float | None = None


@final
@made_quickly
@dataclass(frozen=True, slots=True)
class Outcome:
    """How a call went, whoever answered.

    Attributes:
        chain: The chain's name.
        served_by: Name of the model that answered; None if none did.
        degraded: A model other than the first answered, or the answer is a stand-in.
        attempts: Every request sent, in order.
        skipped: Every model passed over, in order.
        seconds: From the call to its end.
        policy: Digest of the policy in force; equal policies have equal digests.
        flags: Oddities worth a look that are not failures (`wrong_model`, `truncated`, `empty`, `dropped:seed`, ...).
    """

    chain: str
    served_by: str | None
    degraded: bool
    attempts: tuple[Attempt, ...]
    skipped: tuple[Skip, ...]
    seconds: float
    policy: str
    flags: tuple[str, ...] = ()

    @property
    def cost(self) -> float | None:
        """What all attempts cost together; None if any of them is unknown."""
        costs = [attempt.cost for attempt in self.attempts]
        return None if not costs or None in costs else sum(cost for cost in costs if cost is not None)


@final
@made_quickly
@dataclass(frozen=True, slots=True)
class Reply:
    """An answer, and its history.

    Attributes:
        text: The answer's text, without reasoning; empty if there is none.
        tool_calls: Calls the model wants made, in order.
        finish_reason: Why it stopped.
        usage: Tokens of the attempt that answered.
        model: The model that answered, as the provider names it.
        provider: Who served it.
        output: The text validated into `output_type`; None without one.
        reasoning: What the model thought, apart from the text.
        refusal: The refusal's text where the model refused, or None.
        id: The provider's identifier of the answer, or None.
        request_id: The provider's identifier of the request, for its support, or None.
        flags: Oddities the wire showed (`wrong_model`, `dropped:seed`, ...).
        raw: The body as decoded from the wire (a mapping), or what a function returned.
        outcome: How the call went. Filled in by the engine.
    """

    text: str
    tool_calls: tuple[ToolCall, ...] = ()
    finish_reason: FinishReason = "stop"
    usage: Usage = UNKNOWN_USAGE
    model: str = ""
    provider: str = ""
    output: object = None
    reasoning: tuple[Reasoning, ...] = ()
    refusal: str | None = None
    id: str | None = None
    request_id: str | None = None
    flags: tuple[str, ...] = ()
    raw: object = field(default=None, repr=False)
    outcome: Outcome | None = None

    @property
    def degraded(self) -> bool:
        """A model other than the first of the chain answered."""
        return self.outcome is not None and self.outcome.degraded

    @property
    def cost(self) -> float | None:
        """What the whole call cost, failed attempts included; None if unknown."""
        return None if self.outcome is None else self.outcome.cost

    def message(self) -> Message:
        """This answer as a turn, to go on with the conversation."""
        text: tuple[Part, ...] = (Text(self.text),) if self.text else ()
        return Message("assistant", (*self.reasoning, *text, *self.tool_calls))

    def __repr__(self) -> str:
        return (
            f"Reply(<{len(self.text)} characters>, tool_calls={len(self.tool_calls)}, "
            f"finish_reason={self.finish_reason!r}, model={_name(self.model)}, degraded={self.degraded})"
        )


@final
@made_quickly
@dataclass(frozen=True, slots=True)
class ToolCallDelta:
    """A piece of a tool call in a stream.

    Attributes:
        index: Which call of the answer this belongs to, from 0.
        id: Set on the first piece.
        name: Set on the first piece.
        arguments: The next characters of the arguments' JSON text.
        opaque: Provider-private state bound to the call.
    """

    index: int
    id: str | None = None
    name: str | None = None
    arguments: str = ""
    opaque: Mapping[str, JSON] = field(default_factory=lambda: _NO_EXTRA)

    def __repr__(self) -> str:
        name = None if self.name is None else _name(self.name)
        return f"ToolCallDelta(index={self.index}, name={name}, arguments=<{len(self.arguments)} characters>)"


@final
@made_quickly
@dataclass(frozen=True, slots=True)
class Chunk:
    """The next piece of a streamed answer. Every field may be empty; a chunk with none of them is never delivered.

    Attributes:
        text: The next characters of the answer.
        reasoning: The next characters of the reasoning.
        tool_call: The next piece of a tool call.
        refusal: The next characters of a refusal.
        finish_reason: Set once, when the model stopped.
        usage: Set when the provider reports tokens; the last one counts.
        restarted: True on the one chunk that tells that another model answers from the beginning: discard what came.
        model: The model that answers, on the first chunk of a stream and on a restart.
        id: The provider's identifier of the answer, where it is known.
        opaque: Provider-private state of the reasoning, to send back unchanged to the same provider.
        items: What a decorated generator yielded, as it is; a tuple because an item may be None.
    """

    text: str = ""
    reasoning: str = ""
    tool_call: ToolCallDelta | None = None
    refusal: str = ""
    finish_reason: FinishReason | None = None
    usage: Usage | None = None
    restarted: bool = False
    model: str | None = None
    id: str | None = None
    opaque: Mapping[str, JSON] = field(default_factory=lambda: _NO_EXTRA)
    items: tuple[object, ...] = ()

    @property
    def has_content(self) -> bool:
        """It carries something a reader would see, so that handing it over commits the stream."""
        return bool(self.text or self.reasoning or self.refusal or self.tool_call or self.items)

    def __repr__(self) -> str:
        return f"Chunk(<{len(self.text)} characters>, finish_reason={self.finish_reason!r}, restarted={self.restarted})"
