"""Whoever answers, the application reads the same: every form of the official clients, answered by every other wire format.

The client's own provider is down, and a real server of another format, or the model on this device, answers. The clients validate strictly.
"""

from __future__ import annotations

import asyncio
import importlib.util
import json
import sys
from collections.abc import Awaitable, Callable, Generator
from pathlib import Path
from typing import Any, Literal

import pytest
from pydantic import BaseModel, ConfigDict

import tiny_gguf
from answering_server import CUT, PLACE, TEXT, TOKENS, TOOL, AnsweringServer, answering
from resilient_ai import Breaker, ResilientModel, Retry, outcome_of, unwrap, wrap
from resilient_ai.models import (
    AnthropicModel,
    GeminiModel,
    Model,
    OllamaModel,
    OnDeviceModel,
    OpenAIModel,
    OpenAIResponsesModel,
)
from resilient_ai.runtime.blocking import drive
from sdk_forms import QUESTION, SURFACES, Place, Seen, track

POLICY: dict[str, Any] = {"retry": Retry(attempts=1), "breaker": Breaker(consecutive=None, min_calls=100_000)}
OTHERS: dict[str, Callable[[str, str], Model]] = {
    "openai-chat": lambda name, url: OpenAIModel(name, f"{url}/v1", "k"),
    "openai-responses": lambda name, url: OpenAIResponsesModel(name, f"{url}/v1", "k"),
    "anthropic": lambda name, url: AnthropicModel(name, url, "k"),
    "gemini": lambda name, url: GeminiModel(name, url, "k"),
    "ollama": OllamaModel,
}
NAMELESS = ("ollama",)
"""Formats whose answers and calls have no identifier."""

FORMS = [(surface, form) for surface, kinds in SURFACES.items() for form in kinds.forms]


@pytest.fixture(scope="module")
def server() -> Generator[AnsweringServer]:
    with answering() as running:
        yield running


@pytest.fixture(scope="module")
def loop() -> Generator[asyncio.Runner]:
    with asyncio.Runner() as runner:
        yield runner


class Asked:
    """A client in one of the two colours. It is closed with the models behind it, which may be asked in a loop of their own."""

    def __init__(self, client: Any, run: Callable[[Any], Any], *behind: Model) -> None:
        self.client = client
        self._run = run
        self._behind = behind

    def by(self, form: Callable[..., Awaitable[Seen]], **options: Any) -> Seen:
        """What the application reads in `form`."""
        seen: Seen = self._run(form(self.client, **options))
        return seen

    def close(self, loop: asyncio.Runner) -> None:
        closing = self.client.close()
        if closing is not None:
            loop.run(closing)
        for model in self._behind:
            loop.run(model.aclose())


@pytest.fixture(scope="module")
def made(server: AnsweringServer, loop: asyncio.Runner) -> Generator[Callable[..., Asked]]:
    """Clients by surface, colour and who answers; made once, because a client costs more than a call."""
    clients: dict[tuple[str, str, str], Asked] = {}

    def make(surface: str, colour: str, fallback: Model, *, down: str = "down") -> Asked:
        key = (surface, colour, f"{type(fallback)} {fallback.key} {down}")
        if key not in clients:
            kinds, blocks = SURFACES[surface], colour == "blocking"
            bare = (kinds.blocking if blocks else kinds.asynchronous)(
                api_key="sk-test",
                base_url=server.url(kinds.base_path, below=down),
                _strict_response_validation=True,
                max_retries=0,
            )
            clients[key] = Asked(
                wrap(bare, fallback=[fallback], **POLICY), drive if blocks else loop.run, fallback
            )
        return clients[key]

    yield make
    for asked in clients.values():
        asked.close(loop)


@pytest.fixture(params=["blocking", "async"])
def colour(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=OTHERS)
def other(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.mark.parametrize(("surface", "form"), FORMS)
def test_an_answer_of_another_provider_is_read_as_the_clients_own(
    made: Callable[..., Asked], server: AnsweringServer, surface: str, form: str, colour: str, other: str
) -> None:
    take, kind = SURFACES[surface].forms[form]
    seen = made(surface, colour, OTHERS[other]("other-1", server.url())).by(take)

    stopped, _, called = SURFACES[surface].finish
    assert issubclass(seen.kind, kind)
    assert seen.kind.__module__.startswith(("openai.", "anthropic."))
    assert (seen.model, seen.tokens) == ("other-1", TOKENS)
    assert seen.id
    assert other in NAMELESS or seen.id.endswith("of_another")
    if "tools" in form:
        (call,) = seen.calls
        assert (call.name, call.arguments) == (TOOL.name, TOOL.parsed())
        assert call.id == TOOL.id if other not in (*NAMELESS, "gemini") else call.id
        assert (seen.text, seen.finish) == (None, called)
        assert seen.parsed in (None, track(**TOOL.parsed()))  # type: ignore[arg-type]
        assert seen.parsed or form != "tools-parse"
    else:
        assert seen.finish == stopped
        assert seen.calls == ()
        assert seen.text == (json.dumps(PLACE) if "parse" in form else TEXT)
        assert seen.parsed == (Place(**PLACE) if "parse" in form else None)  # type: ignore[arg-type]
    outcome = outcome_of(seen.result)
    assert outcome is not None
    assert (outcome.served_by, outcome.degraded) == ("other-1", True)
    assert outcome.attempts[-1].usage.input_tokens == TOKENS[0]


@pytest.mark.parametrize("form", ["plain", "stream", "raw-stream"])
@pytest.mark.parametrize("surface", SURFACES)
def test_an_answer_cut_at_its_limit_says_so(
    made: Callable[..., Asked], server: AnsweringServer, surface: str, form: str, colour: str, other: str
) -> None:
    seen = made(surface, colour, OTHERS[other](f"{CUT}-1", server.url())).by(SURFACES[surface].forms[form][0])
    assert (seen.finish, seen.text) == (SURFACES[surface].finish[1], TEXT)


@pytest.mark.parametrize("down", ["down", "html", "empty-object", "reset"])
@pytest.mark.parametrize("form", ["plain", "stream", "raw", "streaming-response", "parse"])
@pytest.mark.parametrize("surface", SURFACES)
def test_however_the_provider_fails_the_application_reads_the_fallback(
    made: Callable[..., Asked], server: AnsweringServer, surface: str, form: str, colour: str, down: str
) -> None:
    asked = made(surface, colour, OTHERS["anthropic"]("other-1", server.url()), down=down)
    seen = asked.by(SURFACES[surface].forms[form][0])
    assert seen.text == (json.dumps(PLACE) if form == "parse" else TEXT)
    if form in ("raw", "streaming-response"):
        assert seen.headers["x-resilient-provider"] == "anthropic"
        assert seen.headers["x-resilient-attempts"] == "2"
        assert seen.headers["x-request-id"] == "req_of_another"


def test_a_provider_that_is_left_alone_is_not_asked_and_the_fallback_is_read(
    server: AnsweringServer, loop: asyncio.Runner, colour: str
) -> None:
    for surface, kinds in SURFACES.items():
        fallback = OTHERS["anthropic"]("other-1", server.url())
        bare = (kinds.blocking if colour == "blocking" else kinds.asynchronous)(
            api_key="sk-left-alone", base_url=server.url(kinds.base_path, below="down"), max_retries=0
        )
        client = wrap(bare, fallback=[fallback], retry=Retry(attempts=1), breaker=Breaker(consecutive=1))
        asked = Asked(client, drive if colour == "blocking" else loop.run, fallback)
        asked.by(kinds.forms["plain"][0])
        for form in ("plain", "stream", "helper", "raw", "streaming-response", "parse", "tools"):
            seen = asked.by(kinds.forms[form][0])
            outcome = outcome_of(seen.result)
            assert outcome is not None, (surface, form)
            assert [(skip.reason, len(outcome.attempts)) for skip in outcome.skipped] == [("circuit_open", 1)]
        asked.close(loop)


@pytest.mark.parametrize("surface", SURFACES)
def test_resources_taken_before_the_client_was_wrapped_are_answered_by_the_fallback_too(
    server: AnsweringServer, loop: asyncio.Runner, surface: str, colour: str
) -> None:
    kinds = SURFACES[surface]
    client = (kinds.blocking if colour == "blocking" else kinds.asynchronous)(
        api_key="sk-test",
        base_url=server.url(kinds.base_path, below="down"),
        _strict_response_validation=True,
        max_retries=0,
    )
    taken = {
        name: getattr(client, name) for name in ("chat", "responses", "messages") if hasattr(client, name)
    }
    fallback = OTHERS["gemini"]("other-1", server.url())
    wrap(client, fallback=[fallback], **POLICY)
    early = Asked(type("Taken", (), taken)(), drive if colour == "blocking" else loop.run)
    for form in ("plain", "stream", "parse", "raw", "tools-stream"):
        assert early.by(kinds.forms[form][0]).model == "other-1"
    Asked(unwrap(client), drive, fallback).close(loop)


def test_the_other_provider_is_asked_the_same_in_its_own_words(
    made: Callable[..., Asked], server: AnsweringServer, other: str
) -> None:
    for surface, kinds in SURFACES.items():
        for form in ("plain", "tools", "parse"):
            server.seen.clear()
            made(surface, "blocking", OTHERS[other]("other-1", server.url())).by(kinds.forms[form][0])
            ((dialect, body),) = server.seen
            written = json.dumps(body)
            assert dialect == other
            assert QUESTION in written
            assert ("track" in written) == (form == "tools")
            assert ("stops" in written) == (form == "parse")


# --- the model on this device ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_gguf.write(tmp_path_factory.mktemp("model") / "triage.gguf")


@pytest.fixture(scope="module")
def device(weights: Path) -> Generator[OnDeviceModel]:
    model = OnDeviceModel(weights, max_tokens=24)
    yield model
    model.close()


@pytest.fixture(scope="module")
def patient(weights: Path) -> Generator[OnDeviceModel]:
    """The same, with room for the blanks a model that knows nothing puts into its JSON."""
    model = OnDeviceModel(weights, max_tokens=512, name="patient")
    yield model
    model.close()


class Ticket(BaseModel):
    """What a model that knows nothing can still answer under a grammar."""

    model_config = ConfigDict(extra="forbid")  # or the model goes on with fields of its own until it is cut

    queue: Literal["billing", "orders"]


on_device = pytest.mark.skipif(
    importlib.util.find_spec("xllamacpp") is None or sys.platform != "linux",
    reason="xllamacpp is not installed or this is no Linux: NO answer of the device is read through a client",
)


@on_device
@pytest.mark.parametrize("surface", SURFACES)
def test_an_answer_of_the_device_is_read_as_the_clients_own(
    made: Callable[..., Asked], device: OnDeviceModel, surface: str, colour: str
) -> None:
    kinds = SURFACES[surface]
    asked = made(surface, colour, device)
    said = ResilientModel([device]).generate(QUESTION)
    for form in ("plain", "stream", "raw", "raw-stream", "streaming-response", "copy"):
        take, kind = kinds.forms[form]
        seen = asked.by(take)
        assert issubclass(seen.kind, kind), form
        assert seen.text == said.text, form
        assert seen.finish == kinds.finish[1 if said.finish_reason == "length" else 0], form
        assert (seen.model, seen.tokens) == ("triage", (said.usage.input_tokens, said.usage.output_tokens))
        outcome = outcome_of(seen.result)
        assert outcome is not None
        assert outcome.served_by == "triage"


@on_device
def test_an_object_of_the_device_is_parsed_by_the_client(
    made: Callable[..., Asked], patient: OnDeviceModel, colour: str
) -> None:
    for surface, option in (
        ("chat", "response_format"),
        ("responses", "text_format"),
        ("messages", "output_format"),
    ):
        asked = made(surface, colour, patient)
        for form in ("parse", "helper-parse"):
            parsed = asked.by(SURFACES[surface].forms[form][0], **{option: Ticket}).parsed
            assert isinstance(parsed, Ticket)
            assert parsed.queue in ("billing", "orders")
