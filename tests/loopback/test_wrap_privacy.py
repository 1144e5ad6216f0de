"""What fallbacks of a wrapped client see of personal data: placeholders, and the application reads the answer in the clear."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import anthropic
import openai
import pytest

from adopted_clients import KINDS, Sdk
from echoing_models import Echo
from resilient_ai import Breaker, Reply, Request, Retry, ToolCall, outcome_of, wrap
from resilient_ai.adopt import keys
from resilient_ai.core.model import Traits
from resilient_ai.policies.exposure import Privacy
from resilient_ai.privacy import redact
from resilient_ai.runtime.blocking import drive
from resilient_ai.testing import FaultServer
from sdk_forms import SURFACES, Seen

ANN = "ann@example.com"
CARD = "4111 1111 1111 1111"
QUESTION = f"Write to {ANN} about card {CARD}."
CLEARED = Traits(data_classes=frozenset({"public"}))
POLICY: dict[str, Any] = {
    "retry": Retry(attempts=1),
    "breaker": Breaker(consecutive=None),
    "data_class": "personal",
    "privacy": Privacy(pseudonymise=("personal",)),
}


def said(request: Request) -> Reply:
    return Reply(f"Dear {request.messages[-1].text} Goodbye.")


def called(request: Request) -> Reply:
    arguments = json.dumps({"parcel": request.messages[-1].text, "days": [1]})
    return Reply("", (ToolCall("c1", "track", arguments),), finish_reason="tool_calls")


def filled(request: Request) -> Reply:
    return Reply(json.dumps({"place": request.messages[-1].text, "stops": 3}))


@pytest.fixture(scope="module")
def server() -> Generator[FaultServer]:
    with FaultServer() as running:
        yield running


@pytest.fixture(scope="module")
def loop() -> Generator[asyncio.Runner]:
    with asyncio.Runner() as runner:
        yield runner


@pytest.fixture(params=["blocking", "async"])
def take(
    request: pytest.FixtureRequest, server: FaultServer, loop: asyncio.Runner
) -> Generator[Callable[..., Seen]]:
    """What the application reads in a form of a surface when its provider is down and `fallback` answers."""
    made: list[Any] = []

    def taken(surface: str, form: str, fallback: Any, ask: str = QUESTION) -> Seen:
        kinds = SURFACES[surface]
        blocks = request.param == "blocking"
        down = server.url("status:503", dialect="anthropic" if surface == "messages" else "openai")
        bare = (kinds.blocking if blocks else kinds.asynchronous)(api_key="k", base_url=down, max_retries=0)
        made.append(wrap(bare, fallback=[fallback], **POLICY))
        key, turn = (
            ("input", ask) if surface == "responses" else ("messages", [{"role": "user", "content": ask}])
        )
        work = kinds.forms[form][0](made[-1], **{key: turn})
        seen: Seen = drive(work) if blocks else loop.run(work)
        return seen

    yield taken
    for client in made:
        closing = client.close()
        if closing is not None:
            loop.run(closing)


@pytest.mark.parametrize("form", ["plain", "stream", "helper", "raw", "raw-stream"])
@pytest.mark.parametrize("surface", SURFACES)
def test_a_fallback_sees_placeholders_and_the_application_reads_the_text_in_the_clear(
    take: Callable[..., Seen], surface: str, form: str
) -> None:
    echo = Echo(said, CLEARED)
    seen = take(surface, form, echo)
    assert seen.text == f"Dear {QUESTION} Goodbye."
    (shown,) = echo.seen
    assert ANN not in shown.messages[-1].text
    assert CARD not in shown.messages[-1].text
    assert "Write to" in shown.messages[-1].text
    outcome = outcome_of(seen.result)
    assert outcome is not None
    assert "pseudonymised" in outcome.flags


@pytest.mark.parametrize("form", ["tools", "tools-stream", "tools-helper"])
@pytest.mark.parametrize("surface", SURFACES)
def test_arguments_of_tools_are_restored_too(take: Callable[..., Seen], surface: str, form: str) -> None:
    echo = Echo(called, CLEARED)
    (call,) = take(surface, form, echo).calls
    assert call.arguments == {"parcel": QUESTION, "days": [1]}
    assert ANN not in echo.seen[0].messages[-1].text


@pytest.mark.parametrize("form", ["parse", "helper-parse"])
@pytest.mark.parametrize("surface", SURFACES)
def test_a_parsed_object_holds_the_real_values(take: Callable[..., Seen], surface: str, form: str) -> None:
    echo = Echo(filled, CLEARED)
    parsed: Any = take(surface, form, echo, f'Say "{ANN}".').parsed
    assert (parsed.place, parsed.stops) == (f'Say "{ANN}".', 3)
    assert ANN not in echo.seen[0].messages[-1].text


def test_who_is_cleared_and_the_device_see_the_clear_text(take: Callable[..., Seen]) -> None:
    for traits in (Traits(), Traits(local=True), Traits(data_classes=frozenset({"personal"}))):
        echo = Echo(said, traits)
        take("chat", "plain", echo)
        assert echo.seen[0].messages[-1].text == QUESTION


def test_without_privacy_a_fallback_that_is_not_cleared_is_skipped(server: FaultServer) -> None:
    echo = Echo(said, CLEARED)
    policy = {**POLICY, "privacy": None}
    with (
        openai.OpenAI(api_key="k", base_url=server.url("status:503"), max_retries=0) as client,
        pytest.raises(openai.InternalServerError) as raised,
    ):
        wrap(client, fallback=[echo], **policy).chat.completions.create(
            model="m", messages=[{"role": "user", "content": QUESTION}]
        )
    outcome = outcome_of(raised.value)
    assert outcome is not None
    assert outcome.skipped[0].reason == "data_class"
    assert echo.seen == []


def test_a_picture_is_shown_to_nobody_who_is_not_cleared(server: FaultServer) -> None:
    echo = Echo(said, CLEARED)
    picture: Any = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}
    with (
        openai.OpenAI(api_key="k", base_url=server.url("status:503"), max_retries=0) as client,
        pytest.raises(openai.InternalServerError),
    ):
        wrap(client, fallback=[echo], **POLICY).chat.completions.create(
            model="m", messages=[{"role": "user", "content": [picture]}]
        )
    assert echo.seen == []


def test_the_clients_own_provider_is_sent_what_the_application_wrote(server: FaultServer) -> None:
    with openai.OpenAI(api_key="k", base_url=server.url("none", session="own")) as client:
        wrap(client, fallback=[Echo(said, CLEARED)], **POLICY).chat.completions.create(
            model="m", messages=[{"role": "user", "content": QUESTION}]
        )
    (sent,) = server.requests("own")
    assert ANN in sent.body.decode()


FILE = """
version = 1
[models.own]
provider = 'openai'
model = 'm'
base_url = '{url}'
data_classes = ['public']
[models.last]
provider = 'canned'
text = 'Later.'
[chains.support]
models = ['own', 'last']
[privacy]
pseudonymise = ['personal']
"""


def test_a_model_of_the_client_that_the_file_does_not_clear_is_not_asked_and_not_shown_placeholders(
    server: FaultServer, tmp_path: Path
) -> None:
    file = tmp_path / "resilient.toml"
    file.write_text(FILE.format(url=server.url("none")))
    with openai.OpenAI(api_key="k", base_url=server.url("none", session="uncleared")) as client:
        wrap(client, chain="support", config=file, data_class="personal")
        answer = client.chat.completions.create(model="m", messages=[{"role": "user", "content": QUESTION}])
    assert answer.choices[0].message.content == "Later."
    assert server.requests("uncleared") == []
    outcome = outcome_of(answer)
    assert outcome is not None
    assert outcome.skipped[0].reason == "data_class"


def test_the_files_privacy_holds_for_the_fallbacks_of_a_wrapped_client(
    server: FaultServer, tmp_path: Path
) -> None:
    file = tmp_path / "resilient.toml"
    file.write_text(FILE.format(url=server.url("none")))
    echo = Echo(said, CLEARED)
    with anthropic.Anthropic(
        api_key="k", base_url=server.url("status:503", dialect="anthropic"), max_retries=0
    ) as client:
        wrap(client, fallback=[echo], chain="support", config=file, data_class="personal")
        message = client.messages.create(
            model="m", max_tokens=9, messages=[{"role": "user", "content": QUESTION}]
        )
    assert message.content[0].type == "text"
    assert message.content[0].text == f"Dear {QUESTION} Goodbye."
    assert ANN not in echo.seen[0].messages[-1].text


@pytest.mark.parametrize("kind", KINDS)
def test_the_key_of_a_client_is_looked_for_again_with_its_next_call(
    server: FaultServer, kind: type[Sdk]
) -> None:
    key = f"of-{kind.__name__}-among-many"
    sdk = kind(server.url("none", dialect=kind.dialect), key)
    wrap(sdk.client)
    sdk.run(sdk.ask)
    assert key not in redact(f"as {key} said")
    for number in range(keys.MOST):
        keys.keep(f"of-another-tenant-{number}")
    assert key in redact(f"as {key} said")
    sdk.run(sdk.ask)
    assert key not in redact(f"as {key} said")
    sdk.close()
