"""Taking the policy of a client away: in the middle of a call, under the instrumentations of others, and after them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import openai
import pytest
import wrapt

from adopted_clients import ASK, KINDS, AsyncSdk, ByTransport, Sdk
from resilient_ai import ConfigError, Limits, Retry, outcome_of, unwrap, wrap
from resilient_ai.adopt import policy_of
from resilient_ai.core.events import AttemptFinished
from resilient_ai.models import canned
from resilient_ai.testing import FaultServer

QUICK = Retry(attempts=3, base=0.01, cap=0.02)


@pytest.fixture(scope="module")
def server() -> Iterator[FaultServer]:
    with FaultServer() as running:
        yield running


@pytest.fixture
def session(request: pytest.FixtureRequest) -> str:
    return re.sub(r"[^\w.-]", "-", request.node.name, flags=re.ASCII)


@pytest.fixture
def made(server: FaultServer, session: str) -> Iterator[Callable[..., Any]]:
    clients: list[Sdk] = []

    def at(kind: type[Sdk], fault: str = "none") -> Sdk:
        clients.append(kind(server.url(fault, dialect=kind.dialect, session=session), session))
        return clients[-1]

    yield at
    for one in clients:
        one.close()


kinds = pytest.mark.parametrize("kind", KINDS)
ways = pytest.mark.parametrize("way", ["ask", "stream"])
hooked = pytest.mark.parametrize("kind", [Sdk, AsyncSdk])


def text_of(answer: Any) -> str:
    """The text of an answer of openai."""
    return str(answer.choices[0].message.content)


# --- in the middle of a call ----------------------------------------------------------------------------------------------


@kinds
@ways
def test_a_call_under_way_ends_under_the_policy_it_began_with(
    server: FaultServer, session: str, made: Callable[..., Sdk], kind: type[Sdk], way: str
) -> None:
    sdk = made(kind, "status:503")

    def leave(event: object) -> None:
        if isinstance(event, AttemptFinished):
            unwrap(sdk.client)

    limits = Limits(concurrency=1)
    wrap(sdk.client, retry=QUICK, fallback=[canned("Later.")], limits=limits, observers=[leave])
    policy = policy_of(sdk.client)
    outcome = outcome_of(sdk.run(getattr(sdk, way)))
    assert outcome is not None
    assert (len(outcome.attempts), outcome.served_by) == (4, "canned")
    assert len(server.requests(session)) == 3
    assert policy.places.active == 0


@hooked
def test_the_next_call_is_the_sdks_alone_and_gives_the_client_its_class_back(
    made: Callable[..., Sdk], kind: type[Sdk]
) -> None:
    sdk = made(kind, "status:503~1")
    plain = sdk.client.__class__

    def leave(event: object) -> None:
        if isinstance(event, AttemptFinished):
            unwrap(sdk.client)

    wrap(sdk.client, retry=QUICK, observers=[leave])
    assert outcome_of(sdk.run(sdk.ask)) is not None
    with pytest.raises(ConfigError):
        policy_of(sdk.client)
    assert outcome_of(sdk.run(sdk.ask)) is None
    assert type(sdk.client) is plain


@hooked
def test_a_stream_that_was_open_is_still_guarded(made: Callable[..., Sdk], kind: type[Sdk]) -> None:
    sdk = made(kind, "truncated-clean")
    plain = sdk.client.__class__
    wrap(sdk.client, retry=QUICK)

    async def aread() -> None:
        stream = await sdk.client.chat.completions.create(model="gpt-5.2", messages=ASK, stream=True)
        unwrap(sdk.client)
        async for _ in stream:
            pass

    def read() -> None:
        stream = sdk.client.chat.completions.create(model="gpt-5.2", messages=ASK, stream=True)
        unwrap(sdk.client)
        list(stream)

    with pytest.raises(openai.APIConnectionError) as raised:
        sdk.run(aread if kind is AsyncSdk else read)
    assert outcome_of(raised.value) is not None
    with pytest.raises(openai.APIError):
        sdk.run(lambda: sdk.client.get("/nowhere", cast_to=object))
    assert type(sdk.client) is plain


@kinds
def test_wrapping_again_in_mid_call_leaves_that_call_its_policy(
    made: Callable[..., Sdk], kind: type[Sdk]
) -> None:
    sdk = made(kind, "status:503")

    def replace(event: object) -> None:
        if isinstance(event, AttemptFinished) and event.attempt.n == 1 and event.attempt.kind is not None:
            wrap(sdk.client, retry=QUICK, fallback=[canned("new")], name="new")

    wrap(sdk.client, retry=QUICK, fallback=[canned("old")], name="old", observers=[replace])
    outcomes = [outcome_of(sdk.run(sdk.ask)) for _ in range(2)]
    assert [outcome.chain for outcome in outcomes if outcome is not None] == ["old", "new"]


# --- under the patches of others --------------------------------------------------------------------------------------------


def counted(seen: list[str], original: Any) -> Any:
    """`original` as an instrumentation puts it in its own place, in the colour it has."""

    @wrapt.decorator
    def count(wrapped: Any, instance: object, args: Any, kwargs: Any) -> Any:
        seen.append("seen")
        return wrapped(*args, **kwargs)

    return count(original)


@hooked
def test_a_patch_of_a_resource_made_after_wrapping_outlives_it(
    made: Callable[..., Sdk], kind: type[Sdk]
) -> None:
    """As langsmith's `wrap_openai` does it."""
    sdk, seen = made(kind), list[str]()
    wrap(sdk.client, retry=QUICK)
    completions = sdk.client.chat.completions
    completions.create = patched = counted(seen, completions.create)
    assert outcome_of(sdk.run(sdk.ask)) is not None
    unwrap(sdk.client)
    assert completions.create is patched
    assert outcome_of(sdk.run(sdk.ask)) is None
    assert len(seen) == 2


@hooked
def test_a_request_patched_onto_the_client_after_wrapping_outlives_it_and_the_policy_does_not(
    server: FaultServer, session: str, made: Callable[..., Sdk], kind: type[Sdk]
) -> None:
    """As logfire does it: what it kept of the client is the method of the policy."""
    sdk, seen = made(kind, "status:503"), list[str]()
    sdk.client.max_retries = 0
    wrap(sdk.client, retry=QUICK, fallback=[canned("Later.")])
    policy = policy_of(sdk.client)
    sdk.client.request = patched = counted(seen, sdk.client.request)
    assert text_of(sdk.run(sdk.ask)) == "Later."
    unwrap(sdk.client)
    assert sdk.client.request is patched
    with pytest.raises(openai.InternalServerError) as raised:
        sdk.run(sdk.ask)
    assert outcome_of(raised.value) is None
    assert (len(seen), policy.places.active) == (2, 0)
    assert len(server.requests(session)) == 3 + 1


@hooked
def test_wrapping_again_above_such_a_patch_drives_a_call_once(
    server: FaultServer, session: str, made: Callable[..., Sdk], kind: type[Sdk]
) -> None:
    sdk, seen = made(kind, "status:503"), list[str]()
    wrap(sdk.client, retry=QUICK)
    sdk.client.request = counted(seen, sdk.client.request)
    wrap(sdk.client, retry=Retry(attempts=2, base=0.01), fallback=[canned("Later.")])
    outcome = outcome_of(sdk.run(sdk.ask))
    assert outcome is not None
    assert [attempt.model for attempt in outcome.attempts] == ["gpt-5.2", "gpt-5.2", "canned"]
    assert (len(seen), len(server.requests(session))) == (1, 2)


@hooked
def test_a_patch_put_over_that_in_front_of_the_policy_outlives_it(
    made: Callable[..., Sdk], kind: type[Sdk]
) -> None:
    sdk, seen = made(kind), list[str]()
    sdk.client.request = counted(seen, sdk.client.request)
    wrap(sdk.client, retry=QUICK)
    sdk.client.request = second = counted(seen, sdk.client.request)
    assert outcome_of(sdk.run(sdk.ask)) is not None
    unwrap(sdk.client)
    assert sdk.client.request is second
    assert outcome_of(sdk.run(sdk.ask)) is None
    assert len(seen) == 4


@kinds
def test_a_class_put_over_that_of_the_policy_outlives_it(made: Callable[..., Sdk], kind: type[Sdk]) -> None:
    sdk = made(kind)
    wrap(sdk.client, retry=QUICK)
    layered = sdk.client._client_wrapper.httpx_client.httpx_client if kind is ByTransport else sdk.client
    mine = layered.__class__ = type("Mine", (layered.__class__,), {"mine": True})
    assert outcome_of(sdk.run(sdk.ask)) is not None
    unwrap(sdk.client)
    assert type(layered) is mine
    assert outcome_of(sdk.run(sdk.ask)) is None
    wrap(sdk.client, retry=QUICK)
    assert outcome_of(sdk.run(sdk.ask)) is not None
    unwrap(sdk.client)
    assert type(layered) is mine


@hooked
def test_a_class_put_over_that_of_the_policy_is_not_taken_from_under_a_call(
    made: Callable[..., Sdk], kind: type[Sdk]
) -> None:
    sdk, refused = made(kind), list[ConfigError]()

    def leave(event: object) -> None:
        if isinstance(event, AttemptFinished):
            try:
                unwrap(sdk.client)
            except ConfigError as error:
                refused.append(error)

    wrap(sdk.client, observers=[leave])
    sdk.client.__class__ = type("Mine", (sdk.client.__class__,), {})
    assert outcome_of(sdk.run(sdk.ask)) is not None
    assert "1 calls of this Mine are under way" in str(refused[0])
    unwrap(sdk.client)
    assert outcome_of(sdk.run(sdk.ask)) is None


@pytest.mark.parametrize("late", [False, True], ids=["before", "after"])
@pytest.mark.parametrize(
    ("kind", "owner", "name"),
    [
        (Sdk, openai.OpenAI, "request"),  # as openinference does it
        (AsyncSdk, openai.AsyncOpenAI, "request"),
        (Sdk, openai.OpenAI, "_process_response"),  # as New Relic does it
        (ByTransport, httpx.Client, "send"),
    ],
)
def test_a_patch_of_the_sdks_class_counts_whenever_it_is_made_and_undone(
    made: Callable[..., Sdk],
    monkeypatch: pytest.MonkeyPatch,
    kind: type[Sdk],
    owner: Any,
    name: str,
    *,
    late: bool,
) -> None:
    sdk, seen = made(kind), list[str]()
    if late:
        wrap(sdk.client, retry=QUICK)
    with monkeypatch.context() as patch:
        patch.setattr(owner, name, counted(seen, getattr(owner, name)))
        if not late:
            wrap(sdk.client, retry=QUICK)
        assert outcome_of(sdk.run(sdk.ask)) is not None
        assert len(seen) == 1
        unwrap(sdk.client)
        assert outcome_of(sdk.run(sdk.ask)) is None
        assert len(seen) == 2
        wrap(sdk.client, retry=QUICK)
    assert outcome_of(sdk.run(sdk.ask)) is not None
    assert len(seen) == 2


def test_a_send_put_on_the_http_client_itself_is_kept_and_sees_each_attempt(
    made: Callable[..., Sdk],
) -> None:
    sdk, seen = made(ByTransport, "status:503~1"), list[str]()
    http: Any = sdk.client._client_wrapper.httpx_client.httpx_client
    http.send = mine = counted(seen, http.send)
    wrap(sdk.client, retry=QUICK)
    outcome = outcome_of(sdk.ask())
    assert outcome is not None
    assert len(outcome.attempts) == len(seen) == 2
    unwrap(sdk.client)
    assert http.send is mine


def test_what_the_application_set_while_a_client_was_wrapped_is_not_undone(made: Callable[..., Sdk]) -> None:
    sdk = made(ByTransport)
    http: Any = sdk.client._client_wrapper.httpx_client
    wrap(sdk.client)
    http.base_max_retries = 7
    unwrap(sdk.client)
    assert http.base_max_retries == 7
