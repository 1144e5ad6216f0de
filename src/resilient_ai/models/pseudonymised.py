"""A model that gets placeholders instead of personal data, and whose answer comes back in the clear.

It stands in the place of the model it asks, for the length of one call: engine and runtime know nothing of it. Retries, re-asks and the
other models of the call share its placeholders.
"""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Final, cast, final

from resilient_ai.core.failure import FailureKind, verdict_of
from resilient_ai.errors import ModelError
from resilient_ai.messages import Chunk, Message, Reasoning, Text, ToolCall, ToolResult
from resilient_ai.privacy.pseudonyms import Pseudonymiser
from resilient_ai.privacy.redactor import Redactor

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from resilient_ai.core.model import ChunkSource, Model, Scope, Traits
    from resilient_ai.engine.plan import Hop, Plan
    from resilient_ai.messages import JSON, OutputSchema, Part, Reply, Request, Tool
    from resilient_ai.policies.exposure import Privacy
    from resilient_ai.privacy.pseudonyms import RestoringStream
    from resilient_ai.privacy.spans import Detector

PSEUDONYMISED: Final = "pseudonymised"
"""Flag: the model that answered was shown placeholders."""
_PLAIN: Final = (str, dict, list)
"""Values of a function in which placeholders are looked for."""


def with_pseudonyms(plan: Plan, request: Request, privacy: Privacy) -> Plan:
    """`plan` for one call: models that are not cleared for `request` get it with placeholders, if `privacy` and its content permit that.

    A picture or a document cannot be searched, so a request with one is shown to nobody who is not cleared. A model on the device gets
    everything in the clear or, if it is not cleared, nothing.
    """
    data_class = request.data_class
    if data_class is None or data_class not in privacy.pseudonymise or not _is_text(request):
        return plan
    short = [hop for hop in plan.hops if not hop.traits.local and not _cleared(hop, data_class)]
    if not short:
        return plan
    redactor = Redactor("text", detectors=cast("Sequence[Detector]", privacy.detectors))
    names = Pseudonymiser(redactor)
    return replace(
        plan,
        hops=tuple(
            replace(hop, model=PseudonymisedModel(hop.model, names, redactor)) if hop in short else hop
            for hop in plan.hops
        ),
    )


@final
class PseudonymisedModel:
    """Hides before it asks and restores what it is answered. Made for one call.

    Args:
        model: Who is asked.
        names: The placeholders of the call.
        redactor: What finds the values for `names`; where it fails, nothing is sent.
    """

    __slots__ = ("_hidden", "_lock", "_model", "_names", "_redactor", "_seen", "_traits")

    def __init__(self, model: Model, names: Pseudonymiser, redactor: Redactor) -> None:
        self._model = model
        self._names = names
        self._redactor = redactor
        self._traits = replace(model.traits, data_classes=None)
        self._lock = threading.Lock()  # two attempts may be under way beside each other
        self._seen: Request | None = None
        self._hidden: Request | None = None

    @property
    def name(self) -> str:
        return self._model.name

    @property
    def provider(self) -> str:
        return self._model.provider

    @property
    def key(self) -> str:
        return self._model.key

    @property
    def traits(self) -> Traits:
        return self._traits

    def __repr__(self) -> str:
        return f"PseudonymisedModel({self._model!r})"

    async def answer(self, request: Request, scope: Scope) -> Reply:
        """One attempt, with placeholders on the wire.

        Raises:
            ModelError: Something could not be hidden; nothing was sent.
            Exception: What the model raises.
        """
        reply = await self._model.answer(self._shown(request), scope)
        return _restored(self._names, reply, structured=request.output_schema is not None)

    async def open(self, request: Request, scope: Scope) -> ChunkSource:
        """One attempt at a stream, with placeholders on the wire. Errors as for `answer`."""
        source = await self._model.open(self._shown(request), scope)
        return _RestoredStream(source, self._names, structured=request.output_schema is not None)

    def close(self) -> None:
        """Closes the model it asks."""
        self._model.close()

    async def aclose(self) -> None:
        """Closes the model it asks."""
        await self._model.aclose()

    def _shown(self, request: Request) -> Request:
        """`request` as the model may see it. The same request is hidden once, however often it is tried."""
        with self._lock:
            if request is not self._seen or self._hidden is None:
                failures = self._redactor.errors
                self._hidden = _hidden(self._names, request)
                if self._redactor.errors != failures:
                    self._hidden = None
                    raise ModelError(
                        "the request could not be pseudonymised; nothing was sent",
                        verdict=replace(verdict_of(FailureKind.LOCAL, sent=False), next_model=True),
                        model=self.name,
                        provider=self.provider,
                    )
                self._seen = request
            return self._hidden


# --- the request ------------------------------------------------------------------------------------------------------


def _cleared(hop: Hop, data_class: str) -> bool:
    allowed = hop.traits.data_classes
    return allowed is None or data_class in allowed


def _is_text(request: Request) -> bool:
    return all(
        isinstance(part, Text | Reasoning | ToolCall | ToolResult)
        for message in request.messages
        for part in message.parts
    )


def _hidden(names: Pseudonymiser, request: Request) -> Request:
    return replace(
        request,
        messages=tuple(_hidden_message(names, message) for message in request.messages),
        tools=tuple(_hidden_tool(names, tool) for tool in request.tools),
        stop=tuple(names.hide(stop) for stop in request.stop),
        output_schema=None if request.output_schema is None else _hidden_schema(names, request.output_schema),
        extra=cast("Mapping[str, JSON]", names.hide_value(dict(request.extra))),
    )


def _hidden_message(names: Pseudonymiser, message: Message) -> Message:
    """A turn without its speaker's name, and without reasoning: a provider signs that, and would refuse it changed."""
    parts = [_hidden_part(names, part) for part in message.parts if not isinstance(part, Reasoning)]
    return Message(message.role, tuple(parts))


def _hidden_part(names: Pseudonymiser, part: Part) -> Part:
    match part:
        case Text():
            return Text(names.hide(part.text))
        case ToolCall():
            return replace(part, arguments=names.hide_json(part.arguments))
        case ToolResult():
            return replace(part, content=names.hide(part.content))
        case _:
            raise AssertionError("content that cannot be searched")


def _hidden_tool(names: Pseudonymiser, tool: Tool) -> Tool:
    return replace(
        tool,
        description=None if tool.description is None else names.hide(tool.description),
        parameters=cast("Mapping[str, JSON]", names.hide_value(dict(tool.parameters))),
    )


def _hidden_schema(names: Pseudonymiser, schema: OutputSchema) -> OutputSchema:
    if schema.schema is None:
        return schema
    return replace(schema, schema=cast("Mapping[str, JSON]", names.hide_value(dict(schema.schema))))


# --- the answer -------------------------------------------------------------------------------------------------------


def _restored(names: Pseudonymiser, reply: Reply, *, structured: bool) -> Reply:
    """The answer in the clear, but for `raw`, which stays as it was on the wire.

    State that belongs to the reasoning is dropped: it was made for the text with placeholders.
    """
    output = reply.output
    return replace(
        reply,
        text=names.restore_json(reply.text) if structured else names.restore(reply.text),
        tool_calls=tuple(
            replace(call, arguments=names.restore_json(call.arguments)) for call in reply.tool_calls
        ),
        reasoning=tuple(Reasoning(names.restore(one.text)) for one in reply.reasoning if one.text),
        refusal=None if reply.refusal is None else names.restore(reply.refusal),
        output=names.restore_value(cast("object", output)) if isinstance(output, _PLAIN) else output,
        flags=(*reply.flags, PSEUDONYMISED),
    )


@final
class _RestoredStream:
    """A stream whose placeholders are restored, however they are spread over its pieces."""

    __slots__ = ("_calls", "_ended", "_fault", "_names", "_reasoning", "_refusal", "_source", "_text")

    def __init__(self, source: ChunkSource, names: Pseudonymiser, *, structured: bool) -> None:
        self._source = source
        self._names = names
        self._text = names.stream(escaped=structured)
        self._reasoning = names.stream()
        self._refusal = names.stream()
        self._calls: dict[int, RestoringStream] = {}
        self._fault: Exception | None = None
        self._ended = False

    async def receive(self, until: float) -> Sequence[Chunk] | None:
        """The next chunks in the clear. What may be the beginning of a placeholder waits for the rest of it, or for the stream's end."""
        while self._fault is None and not self._ended:
            try:
                chunks = await self._source.receive(until)
            except Exception as error:  # noqa: BLE001 - raised once what was held back has been handed over
                self._fault = error
                chunks = None
            if chunks is None:
                self._ended = True
                shown = self._rest()
            else:
                shown = [piece for chunk in chunks for piece in self._restored(chunk)]
            if shown:
                return shown
        if self._fault is not None:
            raise self._fault
        return None

    def completed(self, reply: Reply) -> Reply:
        whole = self._source.completed(reply)
        return replace(whole, flags=(*whole.flags, PSEUDONYMISED))

    async def aclose(self) -> None:
        await self._source.aclose()

    def abandon(self) -> None:
        self._source.abandon()

    def _restored(self, chunk: Chunk) -> list[Chunk]:
        call = chunk.tool_call
        if call is not None and call.arguments:
            stream = self._calls.get(call.index)
            if stream is None:
                stream = self._calls[call.index] = self._names.stream(escaped=True)
            call = replace(call, arguments=stream.feed(call.arguments))
            if not (call.arguments or call.id or call.name or call.opaque):
                call = None
        shown = replace(
            chunk,
            text=self._text.feed(chunk.text) if chunk.text else "",
            reasoning=self._reasoning.feed(chunk.reasoning) if chunk.reasoning else "",
            refusal=self._refusal.feed(chunk.refusal) if chunk.refusal else "",
            tool_call=call,
            opaque={},
        )
        # The last word on content comes before the word that there is no more.
        before = self._rest() if chunk.finish_reason is not None else []
        return [*before, shown] if _says_something(shown) else before

    def _rest(self) -> list[Chunk]:
        """What is still held back, once it can no longer become a placeholder."""
        from resilient_ai.messages import ToolCallDelta

        rest = [
            Chunk(text=self._text.flush()),
            Chunk(reasoning=self._reasoning.flush()),
            Chunk(refusal=self._refusal.flush()),
        ]
        for index, stream in self._calls.items():
            arguments = stream.flush()
            if arguments:
                rest.append(Chunk(tool_call=ToolCallDelta(index, arguments=arguments)))
        return [chunk for chunk in rest if chunk.has_content]


def _says_something(chunk: Chunk) -> bool:
    return bool(chunk.has_content or chunk.finish_reason or chunk.usage or chunk.model or chunk.id)
