"""The same faults met by the official openai SDK with its default settings, for comparison. No judgement beyond what can be seen."""

from __future__ import annotations

import itertools
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import openai

from resilient_ai.testing import FaultServer

PATIENCE_SECONDS: Final = 8.0
"""Longer than every wait the SDK itself makes here (two backoffs and hints of up to 2 s); what has not ended by then hangs."""
_serial = itertools.count()


def met_by_sdk(server: FaultServer, fault: str, mode: str, *, counted: bool) -> str:
    """How the SDK ends: `ok`, `WRONG TEXT`, `typed error`, `UNTYPED` or `HANG`."""
    session = f"sdk{next(_serial)}"
    url = server.url(server.catalogue[fault].spec, times=1 if counted else None, session=session)
    client = openai.OpenAI(base_url=url, api_key="sk-not-a-key")
    ended: list[str] = []

    def call() -> None:
        try:
            ended.append(_text(client, mode, server.text))
        except openai.OpenAIError:
            ended.append("typed error")
        except Exception as failure:  # noqa: BLE001 - what is looked for
            ended.append(f"UNTYPED {type(failure).__name__}")

    thread = threading.Thread(target=call, daemon=True)
    thread.start()
    thread.join(PATIENCE_SECONDS)
    if not ended:
        server.heal(session)
        return "HANG"
    client.close()
    return ended[0]


def _text(client: openai.OpenAI, mode: str, whole: str) -> str:
    if mode == "json":
        answer = client.chat.completions.create(
            model="gpt-x", messages=[{"role": "user", "content": "question"}]
        )
        message = answer.choices[0].message
        text = message.content or ""
        tools = bool(message.tool_calls)
    else:
        pieces: list[str] = []
        tools = False
        with client.chat.completions.create(
            model="gpt-x", messages=[{"role": "user", "content": "question"}], stream=True
        ) as stream:
            for chunk in stream:
                for choice in chunk.choices:
                    pieces.append(choice.delta.content or "")
                    tools = tools or bool(choice.delta.tool_calls)
        text = "".join(pieces)
    if text == whole or tools:
        return "ok"
    return "SHORT TEXT" if whole.startswith(text) else "WRONG TEXT"


def run(
    server: FaultServer, ways: list[tuple[str, str, bool]], workers: int = 32
) -> dict[tuple[str, str], str]:
    """Each (fault, mode, whether it is counted down) as the SDK met it."""
    with ThreadPoolExecutor(workers) as pool:
        ends = {
            (fault, mode): pool.submit(met_by_sdk, server, fault, mode, counted=counted)
            for fault, mode, counted in ways
        }
        return {way: end.result() for way, end in ends.items()}
