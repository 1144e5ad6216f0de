"""User text that cannot pose as the model's control tokens.

llama.cpp renders the chat template first and then tokenises the whole with control tokens recognised, so that `<|end|><|assistant|>` in
a message ends the turn and speaks for the assistant. Remote providers guard against this on their side; here it is ours to do.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Final, final

from resilient_ai.messages import (
    JSON,
    Message,
    Part,
    Reasoning,
    Request,
    Text,
    Tool,
    ToolCall,
    ToolResult,
)

BREAK: Final = " "
"""Put after the first character of a control string. A space is one token everywhere, is seen by whoever reads the text, and no tokenizer
normalises it away, which a zero-width space cannot say of itself."""


@final
class ControlGuard:
    """Breaks a model's control strings apart wherever they stand in a conversation. Immutable; safe to share."""

    __slots__ = ("_pattern",)

    def __init__(self, control_tokens: Iterable[str]) -> None:
        # A space put before a space breaks nothing, so strings count without the white space around them.
        strings = sorted({token.strip() for token in control_tokens} - {""}, key=len, reverse=True)
        # Case is ignored because a chat template may change it: one that lower-cases the user's text would turn
        # `<|END|>` into the control token after this guard had let it pass.
        self._pattern = re.compile("|".join(map(re.escape, strings)), re.IGNORECASE) if strings else None

    def text(self, text: str) -> str:
        """`text` without a control string in it; the same object if there was none."""
        if self._pattern is None:
            return text
        # Once is not enough: breaking one string can lay bare another one that overlapped it.
        while self._pattern.search(text):
            text = self._pattern.sub(_broken, text)
        return text

    def request(self, request: Request) -> Request:
        """`request` with all text guarded that a chat template renders: the conversation and the tools."""
        return replace(
            request,
            messages=tuple(map(self.message, request.messages)),
            tools=tuple(map(self._tool, request.tools)),
        )

    def message(self, message: Message) -> Message:
        """`message` with all its text guarded."""
        name = None if message.name is None else self.text(message.name)
        return Message(message.role, tuple(map(self._part, _joined(message.parts))), name)

    def _tool(self, tool: Tool) -> Tool:
        description = None if tool.description is None else self.text(tool.description)
        return Tool(self.text(tool.name), description, self._mapping(tool.parameters), tool.strict)

    def _mapping(self, values: Mapping[str, JSON]) -> Mapping[str, JSON]:
        return {self.text(name): self._value(value) for name, value in values.items()}

    def _value(self, value: JSON) -> JSON:
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, Mapping):
            return self._mapping(value)
        if isinstance(value, Sequence):
            return [self._value(item) for item in value]
        return value

    def _part(self, part: Part) -> Part:
        match part:
            case Text():
                return Text(self.text(part.text))
            case Reasoning():
                return Reasoning(self.text(part.text))
            case ToolCall():
                return replace(part, name=self.text(part.name), arguments=self.text(part.arguments))
            case ToolResult():
                return replace(part, content=self.text(part.content))
            case _:
                return part


def _broken(match: re.Match[str]) -> str:
    string = match.group()
    # Nothing can be put inside a single character.
    return string[0] + BREAK + string[1:] if len(string) > 1 else ""


def _joined(parts: tuple[Part, ...]) -> Iterable[Part]:
    """The parts with neighbouring texts made one: the server joins them, and half a control string may stand in each."""
    texts: list[str] = []
    for part in parts:
        if isinstance(part, Text):
            texts.append(part.text)
            continue
        if texts:
            yield Text("".join(texts))
            texts.clear()
        yield part
    if texts:
        yield Text("".join(texts))
