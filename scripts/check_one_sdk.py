"""What `wrap` promises, seen with the one SDK that is installed beside it. Run by sdk_versions.py, in an environment of its own.

Run: python scripts/check_one_sdk.py openai|anthropic|groq|together

Prints one JSON object: the version, and by the name of each promise what became of it, `kept` or what went wrong.
"""

from __future__ import annotations

import asyncio
import importlib
import importlib.metadata
import inspect
import json
import logging
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Final

from resilient_ai import Retry, outcome_of, unwrap, wrap
from resilient_ai.models import canned
from resilient_ai.testing import FaultServer

ASK: Final[list[Any]] = [{"role": "user", "content": "Where is my parcel?"}]
SORRY: Final = "Somebody will call you."
RETRY: Final = Retry(attempts=3, base=0.01, cap=0.02)
DEADLINE_SECONDS: Final = 1.0
CLIENTS: Final = {
    "openai": ("OpenAI", "AsyncOpenAI"),
    "anthropic": ("Anthropic", "AsyncAnthropic"),
    "groq": ("Groq", "AsyncGroq"),
    "together": ("Together", "AsyncTogether"),
}


class Check:
    """The promises for one SDK, in both colours.

    Args:
        name: The SDK.
        server: Serves the faults.
    """

    def __init__(self, name: str, server: FaultServer) -> None:
        self.name = name
        self.module: Any = importlib.import_module(name)
        self.server = server
        self.session = ""

    @property
    def messages(self) -> bool:
        return self.name == "anthropic"

    def client(self, fault: str, *, blocking: bool, plain: bool = False, **policy: Any) -> Any:
        url = self.server.url(fault, dialect="anthropic" if self.messages else "openai", session=self.session)
        if self.name == "groq":
            url = url.removesuffix("/v1")  # its paths begin with /openai/v1
        made = getattr(self.module, CLIENTS[self.name][not blocking])(
            api_key="sk-test-0123456789", base_url=url
        )
        settings: dict[str, Any] = {"retry": RETRY, **policy}
        return made if plain else wrap(made, **settings)

    def create(self, client: Any, **more: Any) -> Any:
        if self.messages:
            return client.messages.create(model="m", max_tokens=50, messages=ASK, **more)
        return client.chat.completions.create(model="m", messages=ASK, **more)

    def text(self, answer: Any) -> str:
        found = answer.content[0].text if self.messages else answer.choices[0].message.content
        assert isinstance(found, str)
        return found

    def piece(self, event: Any) -> str:
        if self.messages:
            return getattr(getattr(event, "delta", None), "text", None) or ""
        return (event.choices[0].delta.content or "") if event.choices else ""

    # --- doing it in either colour ------------------------------------------------------------------------------------

    def asked(self, fault: str, *, blocking: bool, **policy: Any) -> Any:
        if blocking:
            return self.create(self.client(fault, blocking=True, **policy))

        async def ask() -> Any:
            async with self.client(fault, blocking=False, **policy) as client:
                return await self.create(client)

        return asyncio.run(ask())

    def streamed(self, fault: str, *, blocking: bool, **policy: Any) -> str:
        pieces: list[str] = []

        async def read() -> None:
            async with self.client(fault, blocking=False, **policy) as client:
                async for event in await self.create(client, stream=True):
                    pieces.append(self.piece(event))  # noqa: PERF401 - what came before a fault counts

        if blocking:
            for event in self.create(self.client(fault, blocking=True, **policy), stream=True):
                pieces.append(self.piece(event))  # noqa: PERF401 - as above
        else:
            asyncio.run(read())
        return "".join(pieces)

    def failure(self, act: Callable[[], Any]) -> Exception:
        try:
            act()
        except Exception as error:  # noqa: BLE001 - it is looked at
            return error
        raise AssertionError("nothing was raised")

    # --- the promises -------------------------------------------------------------------------------------------------

    def an_answer_is_the_sdks_own_and_has_a_history(self, *, blocking: bool) -> None:
        answer = self.asked("none", blocking=blocking)
        assert self.text(answer) == self.server.text
        assert type(answer).__module__.startswith(self.name)
        outcome = outcome_of(answer)
        assert outcome is not None
        assert [attempt.verdict for attempt in outcome.attempts] == ["answered"]
        assert outcome.attempts[0].usage.input_tokens

    def what_fails_is_asked_again_as_often_as_said(self, *, blocking: bool) -> None:
        error = self.failure(lambda: self.asked("status:500", blocking=blocking))
        assert isinstance(error, self.module.InternalServerError), type(error)
        outcome = outcome_of(error)
        assert outcome is not None
        assert len(outcome.attempts) == RETRY.attempts == self.seen

    def a_fallback_answers_in_the_sdks_own_types(self, *, blocking: bool) -> None:
        answer = self.asked("status:503", blocking=blocking, fallback=[canned(SORRY)])
        assert self.text(answer) == SORRY
        assert type(answer).__module__.startswith(self.name)
        outcome = outcome_of(answer)
        assert outcome is not None
        assert outcome.degraded

    def an_error_in_a_good_status_is_no_answer(self, *, blocking: bool) -> None:
        error = self.failure(lambda: self.asked("html-200", blocking=blocking))
        assert isinstance(error, self.module.APIError), type(error)

    def a_stream_is_handed_on_whole(self, *, blocking: bool) -> None:
        assert self.streamed("none", blocking=blocking) == self.server.text

    def a_stream_that_is_cut_raises(self, *, blocking: bool) -> None:
        error = self.failure(lambda: self.streamed("truncated-clean", blocking=blocking))
        assert isinstance(error, self.module.APIError), type(error)

    def a_fallback_streams_in_the_sdks_own_events(self, *, blocking: bool) -> None:
        assert self.streamed("status:503", blocking=blocking, fallback=[canned(SORRY)]) == SORRY

    def a_black_hole_ends_at_the_deadline(self, *, blocking: bool) -> None:
        began = time.monotonic()
        error = self.failure(
            lambda: self.asked("stall-no-response", blocking=blocking, deadline=DEADLINE_SECONDS)
        )
        assert isinstance(error, self.module.APITimeoutError), type(error)
        assert time.monotonic() - began < 3 * DEADLINE_SECONDS  # on a busy machine

    def copies_keep_the_policy(self, *, blocking: bool) -> None:
        def ask() -> Any:
            client = self.client("status:500", blocking=blocking).with_options(timeout=20)
            if blocking:
                return self.create(client)

            async def go() -> Any:
                async with client:
                    return await self.create(client)

            return asyncio.run(go())

        self.failure(ask)
        assert self.seen == RETRY.attempts

    def a_raw_response_is_the_sdks_own(self, *, blocking: bool) -> None:
        def raw(client: Any) -> Any:
            if self.messages:
                return client.messages.with_raw_response.create(model="m", max_tokens=50, messages=ASK)
            return client.chat.completions.with_raw_response.create(model="m", messages=ASK)

        async def go() -> Any:
            async with self.client("none", blocking=False) as client:
                parsed = (await raw(client)).parse()
                return await parsed if inspect.isawaitable(parsed) else parsed

        answer = raw(self.client("none", blocking=True)).parse() if blocking else asyncio.run(go())
        assert self.text(answer) == self.server.text

    def unwrapping_leaves_the_sdks_own_client(self, *, blocking: bool) -> None:
        plain = self.client("status:500", blocking=blocking, plain=True)
        before = plain.__class__
        wrapped = wrap(plain, retry=RETRY)
        assert wrapped is plain
        assert isinstance(wrapped, before)
        assert type(unwrap(wrapped)) is before

    # --- running them -------------------------------------------------------------------------------------------------

    @property
    def seen(self) -> int:
        """Requests the server got for the promise that is looked at."""
        return sum(request.session == self.session for request in self.server.requests())

    def promises(self) -> Iterator[tuple[str, Callable[[], None]]]:
        """Each promise in each colour, by its name."""
        for name, promise in vars(Check).items():
            if name.startswith(("a_", "an_", "what_", "copies_", "unwrapping_")):
                for blocking in (True, False):
                    colour = "blocking" if blocking else "asyncio"
                    self.session = f"{name}-{colour}"
                    yield f"{name} [{colour}]", partial(promise, self, blocking=blocking)


def main() -> int:
    """Looks at every promise, whatever became of the one before it."""
    name = sys.argv[1]
    said: dict[str, str] = {}
    logging.disable(logging.CRITICAL)  # what SDKs log about retries
    with FaultServer() as server:
        check = Check(name, server)
        for promise, keep in check.promises():
            try:
                keep()
                said[promise] = "kept"
            except Exception as error:  # noqa: BLE001 - told below
                said[promise] = f"{type(error).__name__}: {str(error)[:200]}"
    print(json.dumps({"version": importlib.metadata.version(name), "promises": said}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
