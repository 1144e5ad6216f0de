"""Measures what redaction costs, beside the obvious alternative: one alternation of patterns.

Run: python bench/redaction.py

Reported is CPU time of this process, the best of several rounds; the contenders take turns within each round,
so that the ratio to the alternation holds on a busy machine as well.
"""

from __future__ import annotations

import base64
import functools
import json
import re
import time
from typing import TYPE_CHECKING

from resilient_ai.privacy import Redactor

if TYPE_CHECKING:
    from collections.abc import Callable

_ROUNDS = 7
_ALTERNATION = re.compile(
    r"[\w.+-]+@[\w-]+\.[\w.-]+"
    r"|\b(?:\d[ -]?){13,19}\b"
    r"|\+\d[\d ().-]{7,}\d"
    r"|\b\d{3}-\d{2}-\d{4}\b"
    r"|\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){3,7}\b"
    r"|\b(?:sk-|ghp_|AKIA|xox[bp]-|AIza)[\w-]{16,}"
    r"|(?i:password|secret|token|api[_-]?key)\"?\s*[:=]\s*\S+"
)

_SENTENCE = "The service answered slowly at first, so the second model took over and finished the summary of the report. "
_PLANTED = (
    "ann.smith@example.com", "4111 1111 1111 1111", "+1 415 555 2671", "DE89 3704 0044 0532 0130 00",
    "sk-proj-4fQ9bT7zLk2mN8xW3vRc", "078-05-1120",
)  # fmt: skip
_LOG_EVENT = (
    '{"timestamp": "2026-03-01T09:14:22.123456Z", "level": "info", "event": "call.finished", "trace_id":'
    ' "4bf92f3577b34da6a3ce929d0e0e4736", "span_id": "00f067aa0ba902b7", "model": "gpt-x-2026-01", "provider":'
    ' "openai", "attempts": 2, "input_tokens": 1873, "output_tokens": 412, "duration": 1.238114, "server":'
    ' "10.12.4.7:443", "request_id": "req_7c9e6679f7424b7b8d2a", "outcome": "ok", "retry_after": null, "host":'
    ' "worker-7.eu-central-1.internal", "version": "2.14.3", "bytes": 48213, "cache_key":'
    ' "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08", "note": "second model took over"}'
)
_HOSTILE = {
    "labels without @": "a." * 100_000 + "@",
    "unfinished JWTs": "eyJ" * 80_000,
    "key prefixes": "glpat-" * 40_000,
    "digits": "1 " * 120_000,
    "percent encoding": "%2541" * 48_000,
    "password labels": "password: " * 24_000,
    "full-width digits": "\uff11" * 240_000,
    "zero-width characters": "a\u200b" * 120_000,
    "e-mail addresses": "a@b.cc " * 34_000,
    "percent chains": "%" + "25" * 120_000,
    "Base64": base64.b64encode(bytes(number * number % 251 for number in range(180_000))).decode(),
    "angle brackets": "<" * 240_000,
    "nested brackets": "[" * 120_000 + "]" * 120_000,
    "JSON in strings": json.dumps(
        functools.reduce(lambda inner, _: json.dumps({"a": inner}), range(15), "x")
    )[:240_000],
    "account numbers": "DE89 " * 48_000,
    "labels without values": "passport: " * 24_000,
}


def _prose(*, clean: bool) -> str:
    sentences: list[str] = []
    for number in range(9000):
        sentences.append(_SENTENCE)
        if not clean and number % 17 == 0:
            sentences.append(f"It named {_PLANTED[number // 17 % len(_PLANTED)]} twice. ")
    return "".join(sentences)


def _best(contenders: dict[str, Callable[[str], object]], text: str, repeat: int) -> dict[str, float]:
    """Return the least CPU seconds for one run of each contender over `text`."""
    best = dict.fromkeys(contenders, float("inf"))
    for _ in range(_ROUNDS):
        for name, run in contenders.items():
            begun = time.process_time()
            for _ in range(repeat):
                run(text)
            best[name] = min(best[name], (time.process_time() - begun) / repeat)
    return best


def main() -> None:
    """Print the tables."""
    contenders: dict[str, Callable[[str], object]] = {
        "alternation": lambda text: _ALTERNATION.sub("<X>", text),
        "text": Redactor("text", key=b"bench").text,
        "machine": Redactor("machine", key=b"bench", max_chars=2_000_000).text,
    }
    print(f"{'':34}" + "".join(f"{name:>22}" for name in contenders))
    for title, text in (
        ("1 MB of clean prose", _prose(clean=True)),
        ("1 MB with 529 values", _prose(clean=False)),
    ):
        best = {name: seconds / len(text) for name, seconds in _best(contenders, text, 1).items()}
        print(f"{title:34}" + _row(best, lambda seconds: f"{1 / seconds / 1e6:.0f} MB/s"))
    clean = (_SENTENCE * 3)[:300]
    email = clean[:140] + " ann.smith@example.com " + clean[163:]
    for title, text in (
        ("300 clean characters", clean),
        ("300 characters, one e-mail", email),
        (f"log event, {len(_LOG_EVENT)} characters", _LOG_EVENT),
    ):
        best = _best(contenders, text, 300)
        print(f"{title:34}" + _row(best, lambda seconds: f"{seconds * 1e6:.1f} us"))
    event = json.loads(_LOG_EVENT) | {"message": _SENTENCE * 3, "user": "ann@example.com"}
    size = len(json.dumps(event))
    machine = Redactor("machine", key=b"bench")
    for title, run in (
        (f"log event as text, {size} characters", lambda: machine.text(json.dumps(event))),
        (f"log event as a dict, {size} characters", lambda: machine.value(event)),
    ):
        median, late = _percentiles(run)
        print(f"{title:42} median {median * 1e6:.0f} us, p99 {late * 1e6:.0f} us")
    contenders.pop("alternation")
    print("\nhostile, 240 kB")
    for title, text in _HOSTILE.items():
        best = _best(contenders, text, 1)
        print(f"{title:34}" + " " * 22 + "".join(f"{seconds * 1e3:>19.0f} ms" for seconds in best.values()))


def _percentiles(run: Callable[[], object]) -> tuple[float, float]:
    """Return the median and the 99th percentile of the CPU seconds of 2000 runs."""
    spent: list[float] = []
    for _ in range(2000):
        begun = time.process_time()
        run()
        spent.append(time.process_time() - begun)
    spent.sort()
    return spent[1000], spent[1980]


def _row(best: dict[str, float], show: Callable[[float], str]) -> str:
    base = best["alternation"]
    return "".join(f"{show(seconds):>14} {base / seconds:>6.1f}x" for seconds in best.values())


if __name__ == "__main__":
    main()
