"""FaultServer: what a test is told, what it can ask afterwards, and that nothing is left behind."""

from __future__ import annotations

import contextlib
import dataclasses
import http.client
import json
import re
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from raw_client import Heard, ask, connect, read, send
from resilient_ai.testing import FaultServer
from resilient_ai.testing.fault_server.__main__ import main, url_table
from resilient_ai.testing.fault_server.catalogue import markdown_table
from resilient_ai.testing.fault_server.dialects import DialectName

DOCS = Path(__file__).parents[2] / "docs" / "fault-server.md"
MESSAGES = [{"role": "user", "content": "the prompt"}]


@pytest.fixture(scope="module")
def server() -> Iterator[FaultServer]:
    with FaultServer() as running:
        yield running


@pytest.fixture
def session(request: pytest.FixtureRequest) -> str:
    """A session id of the test's own."""
    return re.sub(r"[^\w.-]", "-", request.node.name, flags=re.ASCII)


# The good answer in every dialect.


def _texts(name: str, body: Any) -> str:
    match name:
        case "chat":
            return "".join(c["message"]["content"] for c in body["choices"])
        case "responses":
            return "".join(part["text"] for item in body["output"] for part in item["content"])
        case "anthropic":
            return "".join(block["text"] for block in body["content"])
        case "gemini":
            return "".join(part["text"] for part in body["candidates"][0]["content"]["parts"])
        case _:
            return str(body["message"]["content"])


def _deltas(name: str, event: Any) -> str:
    match name:
        case "chat":
            return "".join(choice["delta"].get("content") or "" for choice in event["choices"])
        case "responses":
            return str(event["delta"]) if event["type"] == "response.output_text.delta" else ""
        case "anthropic":
            return str(event["delta"]["text"]) if event["type"] == "content_block_delta" else ""
        case _:
            return _texts(name, event)


PATHS: dict[str, tuple[DialectName, str, str]] = {
    "chat": ("openai", "/chat/completions", "/chat/completions"),
    "responses": ("openai", "/responses", "/responses"),
    "anthropic": ("anthropic", "/v1/messages", "/v1/messages"),
    "gemini": (
        "gemini",
        "/v1beta/models/some-model:generateContent",
        "/v1beta/models/some-model:streamGenerateContent?alt=sse",
    ),
    "ollama": ("ollama", "/api/chat", "/api/chat"),
}


@pytest.mark.parametrize("name", PATHS)
def test_a_plain_answer_is_json_with_the_known_text_and_the_model_asked_for(
    server: FaultServer, name: str
) -> None:
    dialect, path, _ = PATHS[name]
    answer = httpx.post(server.url(dialect=dialect) + path, json={"model": "some-model", "stream": False})
    assert answer.headers["content-type"] == "application/json"
    assert _texts(name, answer.json()) == server.text
    assert "some-model" in answer.text


@pytest.mark.parametrize("name", PATHS)
def test_a_streamed_answer_is_events_with_the_known_text(server: FaultServer, name: str) -> None:
    dialect, _, path = PATHS[name]
    answer = httpx.post(server.url(dialect=dialect) + path, json={"model": "some-model", "stream": True})
    if name == "ollama":
        assert answer.headers["content-type"] == "application/x-ndjson"
        lines = answer.text.splitlines()
    else:
        assert answer.headers["content-type"].startswith("text/event-stream")
        lines = [line[6:] for line in answer.text.splitlines() if line.startswith("data: ")]
    events = [json.loads(line) for line in lines if line != "[DONE]"]
    assert "".join(_deltas(name, event) for event in events) == server.text
    assert len(events) > 10


def test_ollama_streams_unless_told_otherwise(server: FaultServer) -> None:
    answer = httpx.post(server.url(dialect="ollama") + "/api/chat", json={"model": "m"})
    assert len(answer.text.splitlines()) > 10


def test_openai_chat_sends_usage_in_a_stream_only_if_asked(server: FaultServer) -> None:
    silent = ask(server.url(), {"stream": True})
    told = ask(server.url(), {"stream": True, "stream_options": {"include_usage": True}})
    assert b"prompt_tokens" not in silent.raw
    assert json.loads(told.events[-2])["usage"]["prompt_tokens"] == server.usage.input_tokens


def test_the_openai_sdk_reads_the_good_answers(server: FaultServer) -> None:
    openai = pytest.importorskip("openai")
    with openai.OpenAI(base_url=server.url(), api_key="key", max_retries=0) as client:
        chat = client.chat.completions.create(model="m", messages=MESSAGES)
        assert chat.choices[0].message.content == server.text
        assert chat.usage.completion_tokens == server.usage.output_tokens
        chunks = client.chat.completions.create(model="m", messages=MESSAGES, stream=True)
        assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == server.text
        assert client.responses.create(model="m", input="the prompt").output_text == server.text
        with client.responses.stream(model="m", input="the prompt") as stream:
            assert stream.get_final_response().output_text == server.text


def test_the_openai_sdk_reads_tool_calls(server: FaultServer) -> None:
    openai = pytest.importorskip("openai")
    with openai.OpenAI(base_url=server.url("tool-call"), api_key="key", max_retries=0) as client:
        with client.chat.completions.stream(model="m", messages=MESSAGES) as stream:
            (call,) = stream.get_final_completion().choices[0].message.tool_calls
        assert (call.function.name, call.function.arguments) == ("get_weather", '{"city": "Paris"}')
        with client.responses.stream(model="m", input="the prompt") as stream:
            (item,) = stream.get_final_response().output
        assert (item.name, item.arguments) == ("get_weather", '{"city": "Paris"}')


def test_the_anthropic_sdk_reads_the_good_answers(server: FaultServer) -> None:
    anthropic = pytest.importorskip("anthropic")
    url = server.url(dialect="anthropic")
    with anthropic.Anthropic(base_url=url, api_key="key", max_retries=0) as client:
        message = client.messages.create(model="m", max_tokens=99, messages=MESSAGES)
        assert message.content[0].text == server.text
        with client.messages.stream(model="m", max_tokens=99, messages=MESSAGES) as stream:
            final = stream.get_final_message()
        assert final.content[0].text == server.text
        assert final.usage.output_tokens == server.usage.output_tokens
    url = server.url("tool-call", dialect="anthropic")
    with (
        anthropic.Anthropic(base_url=url, api_key="key", max_retries=0) as client,
        client.messages.stream(model="m", max_tokens=99, messages=MESSAGES) as stream,
    ):
        assert stream.get_final_message().content[0].input == {"city": "Paris"}


# Counting.


def test_a_fault_with_times_fails_so_often_and_is_healthy_then(server: FaultServer, session: str) -> None:
    url = server.url("status:503", times=2, session=session)
    assert [ask(url).status for _ in range(4)] == [503, 503, 200, 200]
    assert [seen.failing for seen in server.requests(session)] == [True, True, False, False]
    assert [seen.visit for seen in server.requests(session)] == [1, 2, 3, 4]


def test_times_may_stand_in_the_name(server: FaultServer, session: str) -> None:
    url = server.url("fin-no-response~1", session=session)
    assert "/f/fin-no-response~1@" in url
    assert ask(url).raw == b""
    assert ask(url).status == 200


def test_sessions_do_not_share_counters(server: FaultServer, session: str) -> None:
    urls = [server.url("500-empty", times=1, session=f"{session}{n}") for n in range(2)]
    assert [ask(urls[0]).status, ask(urls[1]).status, ask(urls[0]).status] == [500, 500, 200]


def test_heal_ends_a_fault_of_one_session_only(server: FaultServer, session: str) -> None:
    url, other = (server.url("status:503", session=f"{session}{n}") for n in range(2))
    assert ask(url).status == 503
    server.heal(f"{session}0")
    assert ask(url).status == 200
    assert ask(other).status == 503


def test_flaky_fails_every_nth_request(server: FaultServer, session: str) -> None:
    url = server.url("flaky:3", session=session)
    assert [ask(url).status for _ in range(6)] == [200, 200, 500, 200, 200, 500]


def test_flapping_is_down_and_up_in_turns(server: FaultServer, session: str) -> None:
    url = server.url("flapping:2", session=session)
    assert [ask(url).status for _ in range(6)] == [503, 503, 200, 200, 503, 503]


def test_the_tail_of_latency_is_every_nth_request(server: FaultServer, session: str) -> None:
    url = server.url("latency-tail:0.5", session=session)
    assert ask(url).status == 200
    assert ask(url, patience=0.3).end == "silence"


def test_capacity_refuses_what_comes_at_the_same_time(server: FaultServer, session: str) -> None:
    url = server.url("capacity:1", session=session)
    with ThreadPoolExecutor(8) as pool:
        statuses = sorted(heard.status for heard in pool.map(ask, [url] * 8))
    assert statuses[0] == 200
    assert statuses[-1] == 503
    assert ask(url).status == 200


# The log.


def test_the_log_keeps_what_was_sent_and_its_repr_hides_it(server: FaultServer, session: str) -> None:
    url = server.url("401", session=session)
    ask(url, {"messages": "the-prompt"}, headers={"Authorization": "Bearer the-key-of-somebody"})
    (seen,) = server.wait_for_requests(session)
    assert seen.method == "POST"
    assert seen.path.endswith("/openai/v1/chat/completions")
    assert seen.header("authorization") == "Bearer the-key-of-somebody"
    assert json.loads(seen.body) == {"messages": "the-prompt"}
    assert seen.answered
    assert seen.finished is not None
    assert seen.finished >= seen.started
    assert "the-key" not in repr(seen)
    assert "the-prompt" not in repr(seen)
    with pytest.raises(dataclasses.FrozenInstanceError):
        seen.visit = 7  # type: ignore[misc]


def test_the_401_repeats_a_part_of_the_key(server: FaultServer) -> None:
    heard = ask(server.url("401"), headers={"Authorization": "Bearer sk-1234567890abcdef"})
    assert "sk-123456789****" in heard.json["error"]["message"]


def test_requests_are_found_by_fault_with_and_without_argument(server: FaultServer) -> None:
    ask(server.url("status:507"))
    assert [seen.fault for seen in server.requests("status:507")] == ["status:507"]
    assert "status:507" in {seen.fault for seen in server.requests("status")}
    assert server.requests("no-such-session") == []


@pytest.mark.parametrize(
    ("fault", "billed"),
    [
        ("none", True),
        ("rst-after-work", True),
        ("truncated-clean", True),
        ("tool-call", True),
        ("missing-choices", True),
        ("rst-no-response", False),
        ("status:500", False),
        ("html-200", False),
        ("stall-before-first-token", False),
    ],
)
def test_billed_is_what_the_model_worked_for(
    server: FaultServer, session: str, fault: str, *, billed: bool
) -> None:
    ask(server.url(fault, session=session), patience=0.2)
    (seen,) = server.wait_for_requests(session)
    assert seen.billed is billed


def test_bytes_sent_is_what_arrived(server: FaultServer, session: str) -> None:
    heard = ask(server.url(session=session), {"stream": True})
    (seen,) = server.wait_for_requests(session)
    assert seen.bytes_sent == len(heard.raw)


@pytest.mark.parametrize(
    "fault", ["stall-no-response", "stall-mid-stream", "slow-drip:30", "infinite-stream"]
)
@pytest.mark.parametrize("how", ["fin", "rst"])
def test_a_client_that_hangs_up_is_noticed(server: FaultServer, session: str, fault: str, how: str) -> None:
    url = server.url(fault, session=session)
    sock = connect(url)
    send(sock, url, {"stream": True})
    if how == "rst":
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    if fault != "stall-no-response":
        assert sock.recv(10)
    sock.close()
    seen = server.wait_for_hang_up(session)
    assert seen.hung_up is not None
    assert not seen.answered
    assert seen.failing


def test_a_client_that_read_to_the_end_did_not_hang_up(server: FaultServer, session: str) -> None:
    ask(server.url(session=session))
    (seen,) = server.wait_for_requests(session)
    assert seen.answered
    assert seen.hung_up is None
    with pytest.raises(TimeoutError, match=r"not seen within 0\.05 s"):
        server.wait_for_hang_up(session, timeout=0.05)


def test_the_second_hang_up_can_be_waited_for(server: FaultServer, session: str) -> None:
    url = server.url("stall-no-response", session=session)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(server.wait_for_hang_up, session, count=2, timeout=20)
        for _ in range(2):
            ask(url, patience=0.05)
        assert waiting.result().visit == 2


def test_connections_are_numbered_so_that_reuse_shows(server: FaultServer, session: str) -> None:
    with httpx.Client() as client:
        for _ in range(2):
            client.post(server.url(session=session) + "/chat/completions", json={})
    with httpx.Client() as client:
        client.post(server.url(session=session) + "/chat/completions", json={})
    first, second, third = (seen.connection for seen in server.wait_for_requests(session, count=3))
    assert first == second
    assert third != first


# Redirects.


def test_a_client_that_follows_a_redirect_leaks_and_is_caught(server: FaultServer, session: str) -> None:
    url = server.url("redirect-cross-origin", session=session) + "/chat/completions"
    before = len(server.requests("leak"))
    assert httpx.post(url, json={"messages": MESSAGES}).status_code == 307
    assert len(server.requests("leak")) == before
    followed = httpx.post(url, json={"messages": MESSAGES}, follow_redirects=True)
    assert followed.status_code == 200
    leaked = [seen for seen in server.requests("leak") if seen.session == session]
    assert len(leaked) == 1
    assert b"the prompt" in leaked[0].body
    assert leaked[0].port != server.port


# Faults before there is a request.


def test_a_blackhole_does_not_answer_until_it_is_healed(server: FaultServer, session: str) -> None:
    parts = urlsplit(server.url("connect-blackhole", session=session))
    assert parts.port is not None
    with pytest.raises(TimeoutError):
        socket.create_connection(("127.0.0.1", parts.port), timeout=0.3)
    server.heal(session)
    assert ask(server.url("connect-blackhole", session=session)).status == 200


def test_a_refused_port_refuses_until_it_is_healed(server: FaultServer, session: str) -> None:
    url = server.url("connect-refused", session=session)
    with pytest.raises(ConnectionRefusedError):
        ask(url)
    server.heal(session)
    assert ask(url).status == 200


def test_a_fault_healed_before_its_url_was_asked_for_is_healthy(server: FaultServer, session: str) -> None:
    server.heal(session)
    assert ask(server.url("connect-refused", session=session)).status == 200


def test_the_dns_failure_is_a_reserved_name(server: FaultServer) -> None:
    """Not resolved here: some networks take seconds to say no."""
    assert (urlsplit(server.url("dns-failure")).hostname or "").endswith(".invalid")


@pytest.mark.parametrize(("fault", "end"), [("rst-on-accept", "rst"), ("fin-on-accept", "fin")])
def test_a_connection_that_dies_at_once_is_counted(
    server: FaultServer, session: str, fault: str, end: str
) -> None:
    url = server.url(fault, times=1, session=session)
    try:
        with connect(url) as sock:
            heard = read(sock)
    except ConnectionResetError:  # it came before the system told of the connection
        heard = Heard(b"", "rst")
    assert heard == Heard(b"", "rst" if end == "rst" else "fin")
    assert ask(url).status == 200
    first, second = server.wait_for_requests(session, count=2)
    assert (first.method, first.failing) == ("", True)
    assert (second.method, second.failing) == ("POST", False)


def _strict() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    return context


@pytest.mark.parametrize("fault", ["tls-self-signed", "tls-expired", "tls-wrong-host"])
def test_a_bad_certificate_is_refused_and_nothing_was_sent(
    server: FaultServer, session: str, fault: str
) -> None:
    url = server.url(fault, session=session)
    assert url.startswith("https://")
    with pytest.raises(ssl.SSLCertVerificationError):
        ask(url, tls=_strict())
    seen = server.wait_for_hang_up(session)
    assert (seen.method, seen.body) == ("", b"")


def test_the_certificate_of_another_host_is_wrong_only_in_its_host(server: FaultServer) -> None:
    context = ssl.create_default_context(cafile=str(server.certificate.with_name("wrong_host.pem")))
    with pytest.raises(ssl.SSLCertVerificationError, match="IP address mismatch"):
        ask(server.url("tls-wrong-host"), tls=context)


def test_the_expired_certificate_is_wrong_only_in_its_date(server: FaultServer) -> None:
    context = ssl.create_default_context(cafile=str(server.certificate.with_name("expired.pem")))
    with pytest.raises(ssl.SSLCertVerificationError, match="expired"):
        ask(server.url("tls-expired"), tls=context)


@pytest.mark.parametrize("fault", ["tls-expired", "tls-wrong-host"])
def test_a_bad_certificate_is_good_once_healed(server: FaultServer, session: str, fault: str) -> None:
    url = server.url(fault, session=session)
    with pytest.raises(ssl.SSLCertVerificationError):
        ask(url, tls=server.client_tls())
    server.heal(session)
    assert ask(url, tls=server.client_tls()).text == server.text


def test_a_client_that_resets_in_the_handshake_harms_nobody(server: FaultServer, session: str) -> None:
    url = server.url("tls-self-signed", session=session)
    for _ in range(20):
        with connect(url) as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    assert ask(url, tls=server.client_tls()).text == server.text


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ("tls-plaintext", ssl.SSLError),
        ("tls-other-protocol", ssl.SSLError),
        ("tls-handshake-rst", ConnectionResetError),
        ("tls-handshake-fin", ssl.SSLEOFError),
    ],
)
def test_a_handshake_fails_so_often_and_stands_then(
    server: FaultServer, session: str, fault: str, error: type[Exception]
) -> None:
    url = server.url(fault, times=2, session=session)
    for _ in range(2):
        with pytest.raises(error):
            ask(url, tls=server.client_tls())
    assert ask(url, tls=server.client_tls()).text == server.text
    assert [seen.method for seen in server.wait_for_requests(session, count=3)] == ["", "", "POST"]


def test_a_handshake_that_stalls_gets_no_byte(server: FaultServer, session: str) -> None:
    with connect(server.url("tls-handshake-stall", session=session)) as sock:
        sock.sendall(b"\x16\x03\x01")
        assert read(sock, patience=0.2) == Heard(b"", "silence")
    assert server.wait_for_hang_up(session).failing


def test_any_fault_can_be_served_under_tls(server: FaultServer) -> None:
    tls = ssl.create_default_context(cafile=str(server.certificate))
    tls.verify_flags |= ssl.VERIFY_X509_STRICT
    assert ask(server.url(tls=True), {"stream": True}, tls=tls).text == server.text
    cut = ask(server.url("rst-mid-stream", tls=True), {"stream": True}, tls=tls)
    assert cut.end == "rst"
    assert 0 < len(cut.text) < len(server.text)
    ended = ask(server.url("http10", tls=True), tls=tls)
    assert ended.end == "fin"
    assert ended.text == server.text


def test_a_hang_up_under_tls_is_noticed(server: FaultServer, session: str) -> None:
    ask(server.url("stall-mid-stream", tls=True, session=session), patience=0.2, tls=server.client_tls())
    assert server.wait_for_hang_up(session).billed


# HTTP as clients speak it.


def test_a_stale_connection_answers_once(server: FaultServer, session: str) -> None:
    parts = urlsplit(server.url("stale-connection", session=session))
    connection = http.client.HTTPConnection("127.0.0.1", parts.port or 0)
    connection.request("POST", parts.path + "/chat/completions", "{}")
    assert connection.getresponse().read()
    connection.request("POST", parts.path + "/chat/completions", "{}")
    with pytest.raises(http.client.RemoteDisconnected):
        connection.getresponse()
    connection.close()
    assert ask(server.url("stale-connection", session=session)).status == 200


def test_a_chunked_request_and_expect_continue_are_understood(server: FaultServer, session: str) -> None:
    url = server.url(session=session) + "/chat/completions"
    httpx.post(url, content=iter([b'{"model":', b'"chunked"}']), headers={"Expect": "100-continue"})
    (seen,) = server.wait_for_requests(session)
    assert json.loads(seen.body) == {"model": "chunked"}


def test_requests_that_come_at_once_are_answered_one_after_another(server: FaultServer) -> None:
    url = server.url()
    with connect(url) as sock:
        send(sock, url, close=False)
        send(sock, url)
        assert read(sock).raw.count(b"HTTP/1.1 200 OK\r\n") == 2


def test_retry_after_as_a_date_is_two_seconds_ahead(server: FaultServer) -> None:
    heard = ask(server.url("429-retry-after-date"))
    date, until = (parsedate_to_datetime(heard.headers(name)[0]) for name in ("date", "retry-after"))
    assert (until - date).total_seconds() == 2


def test_the_root_lists_every_fault_and_strangers_get_404(server: FaultServer) -> None:
    listing = httpx.get(f"http://127.0.0.1:{server.port}/").text
    assert all(f"  {fault.spec} " in listing for fault in server.catalogue.values())
    assert httpx.get(f"http://127.0.0.1:{server.port}/other").status_code == 404
    assert httpx.post(server.url() + "/embeddings", json={}).status_code == 404
    missing = httpx.post(server.url().replace("none", "nonne") + "/chat/completions", json={})
    assert missing.status_code == 404
    assert "did you mean 'none'" in missing.text


def test_what_is_not_http_is_answered_400(server: FaultServer) -> None:
    with connect(server.url()) as sock:
        sock.sendall(b"\x16\x03\x01 hello\r\n\r\n")
        assert read(sock).status == 400


# Mistakes of the user.


@pytest.mark.parametrize(
    ("fault", "options", "message"),
    [
        ("stall-midstream", {}, "did you mean 'stall-mid-stream'"),
        ("status:abc", {}, "argument in status, like '500'"),
        ("status:200", {}, "argument in status"),
        ("slow-drip:0", {}, "argument in seconds"),
        ("gzip-bomb:1.5", {}, "argument in MiB"),
        ("401:2", {}, "takes no argument"),
        ("a b", {}, "expected NAME"),
        ("none", {"session": "a/b"}, "a session is letters"),
        ("connect-blackhole", {"times": 1}, "use heal, not times"),
        ("tls-self-signed", {"times": 1}, "use heal, not times"),
        ("tls-self-signed", {"tls": True}, "leave out tls"),
    ],
)
def test_a_url_that_cannot_be_had_says_why(
    server: FaultServer, fault: str, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        server.url(fault, **options)


def test_a_server_that_does_not_run_says_so() -> None:
    server = FaultServer()
    with pytest.raises(RuntimeError, match="not running"):
        server.url()
    with server, pytest.raises(RuntimeError, match="starts once"):
        server.start()
    server.close()
    with pytest.raises(RuntimeError, match="not running"):
        server.url("connect-refused")


def test_a_port_that_is_taken_is_an_error_and_leaves_nothing(server: FaultServer) -> None:
    before = _open_files()
    second = FaultServer(port=server.port)
    with pytest.raises(OSError, match="in use"):
        second.start()
    assert _open_files() <= before


# Bounds.


def test_one_answer_lasts_no_longer_than_longest() -> None:
    with FaultServer(longest=0.2) as server:
        assert ask(server.url("stall-mid-stream")).end == "rst"
        assert ask(server.url("pings-forever:0.01"), {"stream": True}).end == "rst"
        assert ask(server.url("tls-handshake-stall")).end == "rst"


def test_a_flood_is_silent_after_flood_bytes() -> None:
    with FaultServer(flood_bytes=200_000) as server:
        heard = ask(server.url("infinite-stream"), patience=0.3)
        assert heard.end == "silence"
        assert 200_000 <= len(heard.raw) < 400_000


def test_two_hundred_connections_at_once_are_served() -> None:
    with FaultServer() as server, ThreadPoolExecutor(50) as pool:
        silent: list[socket.socket] = []
        for _ in range(200):
            sock = connect(server.url())
            send(sock, server.url("stall-mid-stream", session="silent"), {"stream": True})
            silent.append(sock)
        answers = list(pool.map(ask, [server.url(session="good")] * 200))
        assert all(heard.text == server.text for heard in answers)
        assert len(server.requests("silent")) == 200
        for sock in silent:
            sock.close()
        assert server.wait_for_hang_up("silent", count=200, timeout=20)


def test_close_ends_every_thread_and_frees_every_descriptor() -> None:
    threads, files = set(threading.enumerate()), _open_files()
    faults = [
        "stall-no-response",
        "slow-header",
        "pings-forever",
        "infinite-stream",
        "none",
        "tls-handshake-stall",
    ]
    with FaultServer() as server:
        server.url("connect-blackhole")
        clients: list[socket.socket] = []
        for fault in faults:
            url = server.url(fault, session="open")
            sock = connect(url)
            send(sock, url, {"stream": True}, close=False)
            clients.append(sock)
        server.wait_for_requests("none")
    for sock in clients:
        assert read(sock, enough=1 << 30).end in {"rst", "fin"}
        sock.close()
    # What was there before may end meanwhile: another server of this process closes when its tests are over.
    assert set(threading.enumerate()) <= threads
    assert _open_files() <= files


def _open_files() -> set[str]:
    """What the process has open, told apart by what it is: others of its tests may close something of theirs meanwhile, and the number
    of a descriptor is given out again."""
    folder = Path("/proc/self/fd")
    if not folder.exists():
        pytest.skip("needs /proc")
    opened: set[str] = set()
    for descriptor in folder.iterdir():
        with contextlib.suppress(FileNotFoundError):  # the listing's own
            target = str(descriptor.readlink())
            if not target.startswith("/proc/"):
                opened.add(target)
    return opened


# The catalogue, in the docs and on the command line.


def test_the_table_in_the_docs_is_the_catalogue() -> None:
    text = DOCS.read_text(encoding="utf-8")
    _, _, rest = text.partition("<!-- catalogue -->\n")
    table, _, _ = rest.partition("<!-- /catalogue -->")
    assert table.strip() == markdown_table().strip()


def test_the_examples_in_the_docs_run() -> None:
    blocks = re.findall(r"```python\n(.*?)```", DOCS.read_text(encoding="utf-8"), flags=re.DOTALL)
    assert blocks
    for block in blocks:
        exec(compile(block, str(DOCS), "exec"), {"__name__": "docs"})  # noqa: S102 - our own page


def test_every_description_is_one_sentence_or_two(server: FaultServer) -> None:
    for fault in server.catalogue.values():
        assert 8 < len(fault.description) < 130, fault.name
        assert fault.description[-1] in ".'?)", fault.name


def test_the_command_line_lists_the_faults(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--list"]) == 0
    assert "rst-mid-stream" in capsys.readouterr().out
    assert main(["--markdown"]) == 0
    assert capsys.readouterr().out == markdown_table()


def test_the_command_line_prints_a_url_for_every_fault(server: FaultServer) -> None:
    table = url_table(server, "anthropic")
    assert f"http://127.0.0.1:{server.port}/f/slow-drip:0.9/anthropic\n" in table
    assert len(table.splitlines()) == 2 * len(server.catalogue)


def test_the_command_line_serves_until_interrupted() -> None:
    command = [sys.executable, "-m", "resilient_ai.testing.fault_server", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        assert ask(url).text == FaultServer.text
        process.send_signal(2)
        process.stdout.read()
        assert process.wait(10) == 0


def test_a_port_that_is_taken_is_told_in_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    with FaultServer() as server:
        port = server.port
        with pytest.raises(SystemExit) as ended:
            main(["--port", str(port)])
    assert ended.value.code == 2
    assert f"error: port {port} cannot be served: Address already in use" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["--port", "99999"])


def test_importing_the_testing_package_loads_nothing_else() -> None:
    code = (
        "import sys, resilient_ai.testing as t; assert 'FaultServer' in dir(t);"
        "print(*[m for m in sys.modules if 'fault_server' in m or m in {'ssl', 'httpx', 'pydantic'}])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
