"""Amazon Bedrock `POST /model/MODEL/converse` and `/converse-stream`: one shape for every model, streamed in binary frames."""

from __future__ import annotations

from typing import ClassVar, Final, final

from resilient_ai.messages import JSON
from resilient_ai.testing.fault_server.dialects.answer import (
    Answer,
    Event,
    Framing,
    JsonObject,
    Part,
    TokenCount,
    ToolUse,
    argument_pieces,
    pieces,
)
from resilient_ai.testing.fault_server.dialects.meaning import Meaning, message_for

_REASONS: Final = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "refusal": "content_filtered",
    "content_filtered": "content_filtered",
    "other": "end_turn",
}
_ERRORS: Final = {
    400: "validationException",
    424: "modelStreamErrorException",
    429: "throttlingException",
    503: "serviceUnavailableException",
}
"""What an error is called inside a stream; every other one is an internal one."""


def _usage(tokens: TokenCount) -> JsonObject:
    total = tokens.input_tokens + tokens.output_tokens
    return {"inputTokens": tokens.input_tokens, "outputTokens": tokens.output_tokens, "totalTokens": total}


def _block(part: Part, name: str, index: int, **fields: JSON) -> Event:
    return Event(part, {"contentBlockIndex": index, **fields}, name=name)


@final
class Bedrock:
    """The reason stands in `messageStop`; `metadata` behind it holds the bill."""

    name: ClassVar[str] = "bedrock"
    framing: ClassVar[Framing] = Framing.FRAMES
    eol: ClassVar[bytes] = b""
    carrier: ClassVar[str] = "output"
    event_carrier: ClassVar[str] = "delta"

    def unary(self, answer: Answer) -> JsonObject:
        content: list[JSON] = []
        text = answer.text if answer.text is not None else answer.refusal
        if text is not None:
            content.append({"text": text})
        if answer.tool is not None:
            tool = answer.tool
            use: JsonObject = {"toolUseId": tool.id, "name": tool.name, "input": tool.parsed()}
            content.append({"toolUse": use})
        body: JsonObject = {
            "output": {"message": {"role": "assistant", "content": content}},
            "stopReason": _REASONS[answer.finish],
            "metrics": {"latencyMs": 900},
        }
        if answer.tokens is not None:
            body["usage"] = _usage(answer.tokens)
        return body

    def events(self, answer: Answer) -> list[Event]:
        events = [Event(Part.START, {"role": "assistant"}, name="messageStart")]
        text = answer.text if answer.text is not None else answer.refusal
        blocks = 0
        if text is not None:
            events += [self.text_event(answer, piece, at) for at, piece in enumerate(pieces(text))]
            events.append(_block(Part.CLOSE, "contentBlockStop", 0))
            blocks = 1
        if answer.tool is not None:
            events += self._tool_block(answer.tool, blocks)
        events.append(Event(Part.FINISH, {"stopReason": _REASONS[answer.finish]}, name="messageStop"))
        told: JsonObject = {"metrics": {"latencyMs": 900}}
        if answer.tokens is not None:
            told["usage"] = _usage(answer.tokens)
        events.append(Event(Part.DONE, told, name="metadata"))
        return events

    def text_event(self, answer: Answer, piece: str, index: int) -> Event:
        del answer, index
        return _block(Part.TEXT, "contentBlockDelta", 0, delta={"text": piece})

    def error(self, status: int, meaning: Meaning | None = None, message: str | None = None) -> JsonObject:
        return {"message": message or message_for(status, meaning)}

    def error_event(self, status: int, meaning: Meaning | None = None) -> Event:
        name = _ERRORS.get(status, "internalServerException")
        return Event(Part.ERROR, self.error(status, meaning), name=name)

    def _tool_block(self, tool: ToolUse, index: int) -> list[Event]:
        start: JsonObject = {"toolUse": {"toolUseId": tool.id, "name": tool.name}}
        return [
            _block(Part.TOOL, "contentBlockStart", index, start=start),
            *(
                _block(Part.TOOL, "contentBlockDelta", index, delta={"toolUse": {"input": piece}})
                for piece in argument_pieces(tool.arguments)
            ),
            _block(Part.CLOSE, "contentBlockStop", index),
        ]
