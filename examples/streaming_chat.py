"""A chat that streams its answers while the provider breaks: before the first word, after it, and not at all.

    python examples/streaming_chat.py

Prints:

    you: Who keeps the light?
    bot: The keeper of the lighthouse... (40 words, 2 attempts)
    you: And who keeps the keeper?
    bot: [cut, starting over] I do not know just now. (backup)
    turns remembered: 4
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from resilient_ai import Message, Reply, ResilientModel, Text
from resilient_ai.models import OpenAIModel, canned
from resilient_ai.testing import FaultServer

KEY = "key-of-nobody"


async def answer(model: ResilientModel, history: Sequence[Message]) -> tuple[Reply, bool]:
    """Shows an answer as it comes. True if the reader had to be told to forget the beginning."""
    restarted = False
    async with model.astream(history) as stream:
        async for chunk in stream:
            if chunk.restarted:  # what a terminal or a browser has shown so far must go
                restarted = True
        return await stream.reply(), restarted


async def main() -> None:
    history: list[Message] = []
    with FaultServer() as server:
        silent_at_first = OpenAIModel("gpt-5.2", base_url=server.url("fin-no-response", times=1), api_key=KEY)
        breaks_off = OpenAIModel("gpt-5.2", base_url=server.url("fin-mid-stream"), api_key=KEY)
        backup = canned("I do not know just now.", name="backup")
        first = ResilientModel([silent_at_first, backup], deadline=15)
        second = ResilientModel([breaks_off, backup], deadline=15, on_interrupt="restart")

        for model, question in ((first, "Who keeps the light?"), (second, "And who keeps the keeper?")):
            history.append(Message("user", (Text(question),)))
            print(f"you: {question}")
            reply, restarted = await answer(model, history)
            history.append(reply.message())
            if restarted:
                print(f"bot: [cut, starting over] {reply.text} ({reply.model})")
            else:
                tried = 0 if reply.outcome is None else len(reply.outcome.attempts)
                print(f"bot: {reply.text[:28]}... ({len(reply.text.split())} words, {tried} attempts)")
            await model.aclose()
    print(f"turns remembered: {len(history)}")


if __name__ == "__main__":
    asyncio.run(main())
