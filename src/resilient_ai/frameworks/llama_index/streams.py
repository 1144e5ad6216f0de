"""A stream of ours as the generator LlamaIndex wants, in both colours."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Generator
from typing import TYPE_CHECKING, TypeVar

from resilient_ai.frameworks.contract import refuse_restart

if TYPE_CHECKING:
    from resilient_ai.messages import Chunk, Reply
    from resilient_ai.runtime.stream import AsyncStream, Stream

_Item = TypeVar("_Item")


def items(
    stream: Stream, piece: Callable[[Chunk], _Item | None], whole: Callable[[Reply], _Item]
) -> Generator[_Item]:
    """What `piece` makes of each chunk, and what `whole` makes of the answer. Closing it closes the stream."""
    with stream:
        for chunk in stream:
            refuse_restart(chunk)
            item = piece(chunk)
            if item is not None:
                yield item
        yield whole(stream.reply())


async def aitems(
    stream: AsyncStream, piece: Callable[[Chunk], _Item | None], whole: Callable[[Reply], _Item]
) -> AsyncGenerator[_Item]:
    """As `items`, asynchronous."""
    async with stream:
        async for chunk in stream:
            refuse_restart(chunk)
            item = piece(chunk)
            if item is not None:
                yield item
        yield whole(await stream.reply())
