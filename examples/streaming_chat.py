"""A chat that streams its answers while the provider breaks: first before the first word, then in the middle of a sentence.

    python examples/streaming_chat.py

Prints:

    you: Who keeps the light?
    bot: The keeper of the lighthouse wrote every evening: "calm sea, lamp lit, no ship lost".
    On stormy nights the café below stayed open, its naïve little lanterns 🏮 guiding sailors home, and the page stayed empty until morning came again.
         (gpt-5.2, 2 attempts)
    you: And who keeps the keeper?
    bot: The keeper of the lighthouse wrote every evening: "calm sea, lamp lit, no ship lost".
    On stormy nights the café below  [cut, starting over]
    bot: I do not know just now.
         (backup, 2 attempts)
    turns remembered: 4
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from resilient_ai import Message, Reply, ResilientModel, Text
from resilient_ai.models import OpenAIModel, canned
from resilient_ai.testing import FaultServer

KEY = "key-of-nobody"


async def show(model: ResilientModel, history: Sequence[Message]) -> Reply:
    """Prints an answer as it comes, word by word."""
    print("bot: ", end="")
    async with model.astream(history) as stream:
        async for chunk in stream:
            if chunk.restarted:  # another model begins anew: what was shown so far must go
                print(" [cut, starting over]\nbot: ", end="")
            print(chunk.text, end="", flush=True)
        print()
        return await stream.reply()


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
            reply = await show(model, history)
            history.append(reply.message())
            tried = 0 if reply.outcome is None else len(reply.outcome.attempts)
            print(f"     ({reply.model}, {tried} attempts)")
            await model.aclose()
    print(f"turns remembered: {len(history)}")


if __name__ == "__main__":
    asyncio.run(main())
