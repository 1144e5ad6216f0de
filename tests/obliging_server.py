"""A provider on loopback that speaks OpenAI's chat format and does what it is asked: calls the tools it is given, fills in schemas, streams words."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final, Self, cast, final

from resilient_ai.models import OpenAIModel

TEXT: Final = "The keeper of the lighthouse keeps the light."
THOUGHT: Final = "Who keeps a light?"
USAGE: Final = {
    "prompt_tokens": 11,
    "completion_tokens": 7,
    "total_tokens": 18,
    "prompt_tokens_details": {"cached_tokens": 4},
    "completion_tokens_details": {"reasoning_tokens": 2},
}

Json = dict[str, Any]


@final
class ObligingServer:
    """Answers every request at once; `bodies` holds what it was sent, in order.

    Args:
        thinks: Tell a thought before each answer, as reasoning models do.
    """

    def __init__(self, *, thinks: bool = False) -> None:
        self.bodies: list[Json] = []
        self.thinks = thinks
        self.example: Json = {"setup": "Why?", "punchline": "Because."}
        """What is answered where any JSON object is asked for."""
        server = self

        @final
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, format: str, *args: object) -> None: ...  # noqa: A002 - the name is http.server's

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                server.bodies.append(body)
                if body.get("stream"):
                    events = [
                        f"data: {json.dumps(event)}\n\n" for event in _events(server.message(body), body)
                    ]
                    payload = "".join([*events, "data: [DONE]\n\n"]).encode()
                    self._send(payload, "text/event-stream")
                else:
                    self._send(json.dumps(_whole(server.message(body), body)).encode(), "application/json")

            def _send(self, payload: bytes, kind: str) -> None:
                self.send_response(200)
                self.send_header("content-type", kind)
                self.send_header("content-length", str(len(payload)))
                self.end_headers()
                self.wfile.write(payload)

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.01,), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_address[1]}/v1"

    def model(self, name: str = "obliging-1") -> OpenAIModel:
        """The model behind this server."""
        return OpenAIModel(name, base_url=self.url, api_key="key-of-nobody")

    def message(self, body: Json) -> Json:
        """What is answered: a call of a tool until its result has come, an object where a schema is given, and text otherwise."""
        message: Json = {"role": "assistant", "content": TEXT}
        if self.thinks:
            message["reasoning_content"] = THOUGHT
        choice: Any = body.get("tool_choice")
        name: str | None = cast("Json", choice)["function"]["name"] if isinstance(choice, dict) else None
        forced = choice == "required" or name is not None
        if body.get("tools") and choice != "none" and (forced or body["messages"][-1]["role"] == "user"):
            tools = [tool["function"] for tool in body["tools"]]
            tool = next(tool for tool in tools if name in (None, tool["name"]))
            filled = _filled(tool.get("parameters") or {}, body)
            call = {"name": tool["name"], "arguments": json.dumps(filled)}
            message["tool_calls"] = [{"id": f"call_{len(self.bodies)}", "type": "function", "function": call}]
            message["content"] = None
        elif body.get("response_format"):
            schema = body["response_format"].get("json_schema", {}).get("schema")
            filled = self.example if schema is None else _filled(schema, body)
            message["content"] = json.dumps(filled)
        return message


def _filled(schema: Json, body: Json, definitions: Json | None = None) -> Any:
    """Something that fits `schema`; what the question has in quotes is used for text."""
    definitions = schema.get("$defs", {}) if definitions is None else definitions
    if "$ref" in schema:
        return _filled((definitions or {})[schema["$ref"].rpartition("/")[2]], body, definitions)
    for option in schema.get("anyOf", ()):
        if option.get("type") != "null":
            return _filled(option, body, definitions)
    if "enum" in schema:
        return schema["enum"][0]
    match schema.get("type"):
        case "object":
            return {
                name: _filled(inner, body, definitions)
                for name, inner in schema.get("properties", {}).items()
            }
        case "array":
            return [_filled(schema.get("items", {}), body, definitions)]
        case "integer" | "number":
            return 3
        case "boolean":
            return True
        case _:
            quoted = re.search(r"'([^']+)'", json.dumps(body["messages"][-1], ensure_ascii=False))
            return quoted.group(1) if quoted else "some text"


def _whole(message: Json, body: Json) -> Json:
    reason = "tool_calls" if message.get("tool_calls") else "stop"
    choice = {"index": 0, "message": message, "finish_reason": reason, "logprobs": None}
    return {**_head(body, "chat.completion"), "choices": [choice], "usage": USAGE}


def _head(body: Json, kind: str) -> Json:
    return {"id": "chatcmpl-1", "object": kind, "created": 1, "model": body["model"]}


def _events(message: Json, body: Json) -> Iterator[Json]:
    head = _head(body, "chat.completion.chunk")

    def event(delta: Json, reason: str | None = None) -> Json:
        return {**head, "choices": [{"index": 0, "delta": delta, "finish_reason": reason, "logprobs": None}]}

    yield event({"role": "assistant", "content": ""})
    for word in re.findall(r"\s*\S+", message.get("reasoning_content") or ""):
        yield event({"reasoning_content": word})
    for word in re.findall(r"\s*\S+", message["content"] or ""):
        yield event({"content": word})
    for index, call in enumerate(message.get("tool_calls", [])):
        function = {**call["function"], "arguments": ""}
        yield event({"tool_calls": [{**call, "index": index, "function": function}]})
        for start in range(0, len(call["function"]["arguments"]), 5):
            piece = {"arguments": call["function"]["arguments"][start : start + 5]}
            yield event({"tool_calls": [{"index": index, "function": piece}]})
    yield event({}, "tool_calls" if message.get("tool_calls") else "stop")
    yield {**head, "choices": [], "usage": USAGE}
