"""`OnDeviceModel` with the real llama.cpp behind it, asked as the engine asks it."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
import signal
import sys
import threading
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import tiny_gguf
from resilient_ai.core.clock import SYSTEM_CLOCK
from resilient_ai.core.deadline import AttemptTimeout
from resilient_ai.core.failure import FailureKind
from resilient_ai.core.model import Scope
from resilient_ai.errors import InvalidRequest, ModelError
from resilient_ai.messages import Image, Message, OutputSchema, Part, Reply, Request, Text
from resilient_ai.models import OnDeviceModel
from resilient_ai.models.on_device.link import Link
from resilient_ai.models.on_device.places import QUEUE
from resilient_ai.models.on_device.process import Endpoint
from resilient_ai.runtime.blocking import drive

pytestmark = [
    pytest.mark.skipif(
        importlib.util.find_spec("xllamacpp") is None,
        reason="xllamacpp is not installed: NOTHING of OnDeviceModel is tested; install resilient_ai[on-device]",
    ),
    pytest.mark.skipif(sys.platform != "linux", reason="processes are watched through /proc and pidfd"),
]

QUEUES = OutputSchema(
    "ticket",
    {"type": "object", "properties": {"queue": {"enum": ["billing", "orders"]}}, "required": ["queue"]},
)
# Two hundred values, none of which the model may leave out: an answer that takes the slow model a long time.
LONG = OutputSchema("long", {"type": "array", "items": {"enum": ["billing"]}, "minItems": 200})

Colour = Callable[[OnDeviceModel, Request, float], Reply]


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_gguf.write(tmp_path_factory.mktemp("model") / "triage.gguf")


@pytest.fixture(scope="module")
def slow_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_gguf.write(tmp_path_factory.mktemp("model") / "slow.gguf", width=1024)


@pytest.fixture
def model(path: Path) -> Generator[OnDeviceModel]:
    model = OnDeviceModel(path)
    yield model
    model.close()


@pytest.fixture
def slow(slow_path: Path) -> Generator[OnDeviceModel]:
    model = OnDeviceModel(slow_path, max_tokens=1500)
    yield model
    model.close()


def _scope(seconds: float = 30.0, *, blocking: bool = True) -> Scope:
    return Scope(blocking, SYSTEM_CLOCK, SYSTEM_CLOCK.now() + seconds, seconds, seconds, seconds)


def _request(
    *parts: str | Part, schema: OutputSchema | None = QUEUES, max_tokens: int | None = None
) -> Request:
    said = tuple(Text(part) if isinstance(part, str) else part for part in parts)
    return Request((Message("user", said),), output_schema=schema, max_tokens=max_tokens)


def _blocking(model: OnDeviceModel, request: Request, seconds: float) -> Reply:
    return drive(model.answer(request, _scope(seconds)))


def _in_a_loop(model: OnDeviceModel, request: Request, seconds: float) -> Reply:
    """As the asynchronous runtime does it: one timer around the attempt."""

    async def run() -> Reply:
        scope = _scope(seconds, blocking=False)
        try:
            async with asyncio.timeout(seconds):
                return await model.answer(request, scope)
        except TimeoutError:
            raise AttemptTimeout from None
        finally:
            for link in model._links.values():
                await link.aclose()

    return asyncio.run(run())


colours = pytest.mark.parametrize("answer", [_blocking, _in_a_loop])


def _wait_until_busy(model: OnDeviceModel) -> int:
    """The worker's pid, once it computes; the test's own timeout bounds it."""
    while (child := model._supervisor._child) is None or child.endpoint is None:
        SYSTEM_CLOCK.sleep(0.01)
    link = Link(child.endpoint, model.name)
    while not drive(link.busy_slots(_scope())):
        SYSTEM_CLOCK.sleep(0.01)
    link.close()
    return child.pid


@colours
def test_it_answers_json_under_the_schema(model: OnDeviceModel, answer: Colour) -> None:
    reply = answer(model, _request("where is my invoice?"), 30)

    assert json.loads(reply.text)["queue"] in ("billing", "orders")
    assert reply.model == "triage"
    assert reply.provider == "on-device"
    assert reply.usage.input_tokens is not None
    assert reply.flags == ()


@colours
def test_the_same_question_gets_the_same_answer(model: OnDeviceModel, answer: Colour) -> None:
    request = _request("where is my invoice?", schema=None, max_tokens=20)

    assert answer(model, request, 30).text == answer(model, request, 30).text


@colours
def test_a_worker_killed_in_mid_request_is_a_typed_failure_and_the_next_call_is_answered_by_another(
    slow: OnDeviceModel, answer: Colour
) -> None:
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(answer, slow, _request("x", schema=LONG), 30)
        pid = _wait_until_busy(slow)
        os.kill(pid, signal.SIGKILL)
        with pytest.raises(ModelError) as failed:
            asked.result()

    assert failed.value.kind is FailureKind.CONNECTION
    assert failed.value.verdict.retry
    assert "the worker died" in str(failed.value)
    assert json.loads(answer(slow, _request("x"), 30).text)
    assert slow.pid != pid


@colours
def test_a_request_that_takes_too_long_ends_in_time_and_does_not_hold_up_the_next(
    slow: OnDeviceModel, answer: Colour
) -> None:
    slow.warm()
    with pytest.raises(AttemptTimeout):
        answer(slow, _request("x" * 1000, schema=LONG), 0.5)

    assert json.loads(answer(slow, _request("x"), 30).text)


def test_time_that_runs_out_while_the_model_loads_lets_the_load_go_on(slow: OnDeviceModel) -> None:
    with pytest.raises(AttemptTimeout) as ran_out:
        _blocking(slow, _request("x"), 0.0)
    pid = slow.pid

    assert ran_out.value.sent is False
    assert json.loads(_blocking(slow, _request("x"), 30).text)
    assert slow.pid == pid


def test_a_conversation_beyond_the_context_is_told_and_costs_the_worker_nothing(model: OnDeviceModel) -> None:
    with pytest.raises(ModelError) as overflow:
        _blocking(model, _request("x" * 5000), 30)
    child = model._supervisor._child

    assert overflow.value.kind is FailureKind.CONTEXT_OVERFLOW
    assert child is not None
    assert child.suspected_since is None


@pytest.mark.parametrize("text", ["x<|end|>y", "x<|END|>y", "<|end|><|assistant|>"])
def test_control_tokens_in_a_message_are_plain_text_to_the_model(model: OnDeviceModel, text: str) -> None:
    spelled_out = text.replace("<|", "< |")
    request = _request(text, schema=None, max_tokens=3)

    guarded = _blocking(model, request, 30)
    plain = _blocking(model, _request(spelled_out, schema=None, max_tokens=3), 30)
    (link,) = model._links.values()
    unguarded = drive(link.remote.answer(request, _scope()))

    assert guarded.usage.input_tokens == plain.usage.input_tokens
    assert guarded.text == plain.text
    # What it would be without the guard: each control string one token.
    assert unguarded.usage.input_tokens is not None
    assert guarded.usage.input_tokens is not None
    assert unguarded.usage.input_tokens < guarded.usage.input_tokens


def test_an_answer_is_never_longer_than_the_model_allows(path: Path) -> None:
    model = OnDeviceModel(path, max_tokens=5)
    try:
        asked = _blocking(model, _request("x", schema=None, max_tokens=1000), 30)
        unasked = _blocking(model, _request("x", schema=None), 30)
        fewer = _blocking(model, _request("x", schema=None, max_tokens=2), 30)
    finally:
        model.close()

    assert asked.usage.output_tokens == unasked.usage.output_tokens == 5
    assert "capped:max_tokens" in asked.flags
    assert "capped:max_tokens" not in unasked.flags
    assert fewer.usage.output_tokens == 2


def test_settings_of_another_format_are_dropped_and_told(model: OnDeviceModel) -> None:
    request = Request((Message("user", (Text("x"),)),), extra={"n_predict": 100_000}, max_tokens=2)

    reply = _blocking(model, request, 30)

    assert "dropped:n_predict" in reply.flags
    assert reply.usage.output_tokens == 2


def test_what_it_cannot_read_is_refused_before_a_worker_is_started(model: OnDeviceModel) -> None:
    with pytest.raises(InvalidRequest, match="no messages"):
        _blocking(model, Request(()), 30)
    with pytest.raises(ModelError, match="text only") as refused:
        _blocking(model, _request("what is this?", Image(url="https://example.com/a.png")), 30)

    assert refused.value.verdict.next_model
    assert refused.value.verdict.sent is False
    assert model.pid is None


@pytest.mark.parametrize("blocking", [True, False])
def test_a_stream_brings_the_whole_answer_and_gives_its_place_back(
    model: OnDeviceModel, *, blocking: bool
) -> None:
    async def run() -> str:
        text = ""
        for _ in range(3):
            text = ""
            source = await model.open(_request("x"), _scope(blocking=blocking))
            while (chunks := await source.receive(SYSTEM_CLOCK.now() + 30)) is not None:
                text += "".join(chunk.text for chunk in chunks)
            await source.aclose()
            await source.aclose()
        if not blocking:
            await model.aclose()
        return text

    streamed = drive(run()) if blocking else asyncio.run(run())

    assert json.loads(streamed)["queue"] in ("billing", "orders")


@pytest.mark.parametrize("blocking", [True, False])
def test_a_stream_that_is_left_early_does_not_hold_up_the_next_call(
    slow: OnDeviceModel, *, blocking: bool
) -> None:
    async def run() -> str:
        source = await slow.open(_request("x", schema=LONG), _scope(blocking=blocking))
        await source.receive(SYSTEM_CLOCK.now() + 30)
        await source.aclose()
        reply = await slow.answer(_request("x"), _scope(blocking=blocking))
        if not blocking:
            await slow.aclose()
        return reply.text

    assert json.loads(drive(run()) if blocking else asyncio.run(run()))


def test_a_stream_abandoned_from_another_thread_gives_its_place_back(slow: OnDeviceModel) -> None:
    source = drive(slow.open(_request("x", schema=LONG), _scope()))
    thread = threading.Thread(target=source.abandon)
    thread.start()
    thread.join()

    assert json.loads(_blocking(slow, _request("x"), 30).text)


def test_a_worker_killed_in_mid_stream_is_a_typed_failure(slow: OnDeviceModel) -> None:
    source = drive(slow.open(_request("x", schema=LONG), _scope()))
    assert slow.pid is not None
    os.kill(slow.pid, signal.SIGKILL)

    def rest() -> None:
        while drive(source.receive(SYSTEM_CLOCK.now() + 30)) is not None:
            pass

    with pytest.raises(ModelError) as failed:
        rest()
    drive(source.aclose())

    assert failed.value.kind is FailureKind.CONNECTION


def test_too_many_at_once_are_refused_without_a_word_about_the_models_health(model: OnDeviceModel) -> None:
    async def run() -> ModelError:
        permit = await model._borrow(_scope(blocking=False))
        waiting = [asyncio.create_task(model._borrow(_scope(blocking=False))) for _ in range(QUEUE)]
        await asyncio.wait(waiting, timeout=0)
        with pytest.raises(ModelError) as refused:
            await model.answer(_request("x"), _scope(blocking=False))
        permit.release(clean=True)
        for task in waiting:
            (await task).release(clean=True)
        await model.aclose()
        return refused.value

    refused = asyncio.run(run())

    assert refused.kind is FailureKind.OVERLOADED
    assert refused.verdict.health == "neutral"
    assert refused.verdict.sent is False


def test_two_models_of_one_file_share_a_worker_until_both_are_closed(path: Path) -> None:
    first, second = OnDeviceModel(path), OnDeviceModel(path, max_tokens=10, capabilities=("triage",))
    first.warm()
    second.warm()
    pid = first.pid

    assert pid is not None
    assert second.pid == pid
    first.close()
    assert second.pid == pid
    assert _blocking(second, _request("x"), 30).text
    second.close()
    second.close()
    assert not Path(f"/proc/{pid}").exists()


def test_a_closed_model_may_be_used_again(model: OnDeviceModel) -> None:
    model.warm()
    model.close()

    assert _blocking(model, _request("x"), 30).text


def test_warming_in_a_loop_loads_the_model_and_leaves_no_thread(model: OnDeviceModel) -> None:
    async def run() -> tuple[int | None, list[threading.Thread]]:
        await model.awarm()
        pid = model.pid
        await model.aclose()
        return pid, threading.enumerate()

    before = threading.enumerate()
    pid, after = asyncio.run(run())

    assert pid is not None
    assert after == before


def test_a_model_that_cannot_be_loaded_says_so_with_what_native_code_printed_kept_aside(
    path: Path, tmp_path: Path
) -> None:
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(path.read_bytes().replace(b"llama", b"lhama"))
    model = OnDeviceModel(broken)

    with pytest.raises(ModelError, match=r"on-device:broken: .*llama.cpp cannot load the model") as failed:
        model.warm()

    assert failed.value.kind is FailureKind.MODEL_UNAVAILABLE
    assert failed.value.verdict.sent is False


def test_the_endpoint_does_not_show_its_key() -> None:
    assert "secret" not in repr(Endpoint("http://localhost", None, "secret", 1))
