"""Whether a whole response with a good status holds an answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from resilient_ai.adopt.progress import NOTHING_ASKED
from resilient_ai.adopt.wire_faults import says_nothing, typed
from resilient_ai.messages import Reply
from resilient_ai.models.wire import Malformed, WireError
from resilient_ai.models.wire.flags import flags_of
from resilient_ai.models.wire.jsonbody import MAX_BODY_BYTES

if TYPE_CHECKING:
    from resilient_ai.adopt.primary import Primary
    from resilient_ai.core.model import Scope
    from resilient_ai.messages import Request
    from resilient_ai.models.wire import Codec


def answer_in(
    response: Any,
    codec: Codec,
    primary: Primary,
    request: Callable[[], Request],
    scope: Scope | None,
    *,
    verified: bool,
) -> Reply:
    """The answer in `response`, which has been read.

    Args:
        response: What the provider sent.
        codec: Its format.
        primary: The model that was asked.
        request: Tells what it was asked, where that matters: only calls of tools are held against it.
        scope: The attempt's, where one is under way: its notes learn of the tokens.
        verified: What is no answer of the format is a failure; otherwise whatever came is taken for one.

    Raises:
        ModelError: There is none in it.
    """
    if len(response.content) > MAX_BODY_BYTES and response.content[:8].lstrip()[:1] == b"{":
        return Reply("")  # pictures, which only the SDK can read
    try:
        reply = codec.decode_reply(response.content)
        if scope is not None:
            scope.notes["usage"] = reply.usage  # billed, whatever is found wrong with the answer
        if says_nothing(reply):
            raise Malformed("neither content nor a tool call")
    except WireError as error:
        if not verified:
            return Reply("", raw=response.content)
        raise typed(error, primary, response.headers) from None
    asked = request() if reply.tool_calls else NOTHING_ASKED
    # In place: the codec has just made it, and a copy costs as much as the reading.
    object.__setattr__(reply, "provider", primary.provider)
    object.__setattr__(reply, "flags", flags_of(asked, reply, model=primary.name))
    return reply
