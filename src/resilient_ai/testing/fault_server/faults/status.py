"""Errors a provider says outright: statuses, and what headers and bodies say about a retry."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from email.utils import formatdate
from functools import partial
from typing import TYPE_CHECKING, Final

from resilient_ai.testing.fault_server.fault import Argument, Family, Ideal

if TYPE_CHECKING:
    from resilient_ai.testing.fault_server.dialects.meaning import Meaning
    from resilient_ai.testing.fault_server.exchange import Exchange
    from resilient_ai.testing.fault_server.record import Header

FAMILY: Final = Family("status")

_TRANSIENT_4XX: Final = frozenset({408, 409, 425, 429})
_PAGE: Final = b"<!DOCTYPE html><html><head><title>%b</title></head><body><h1>%b</h1></body></html>"


def ideal_of(status: int) -> Ideal:
    """The rule for a bare status: 408, 409, 425, 429 and 5xx are transient, any other 4xx is fatal."""
    if status >= 500 or status in _TRANSIENT_4XX:
        return Ideal.TRANSIENT
    return Ideal.FATAL if status >= 400 else Ideal.ERROR


def _refuse(exchange: Exchange, *, status: int, headers: Sequence[Header] = ()) -> None:
    exchange.refuse(status, headers)


def _refuse_for(exchange: Exchange, *, status: int, meaning: Meaning) -> None:
    exchange.respond_json(exchange.dialect.error(status, meaning), status)


@FAMILY.fault("status", Ideal.TRANSIENT, argument=Argument("500", "status"))
def any_status(exchange: Exchange) -> None:
    """Status `arg` with the provider's error body. 408 409 425 429 5xx are transient, any other 4xx is fatal."""
    exchange.refuse(int(exchange.argument))


_HEADERS: Final[Sequence[tuple[str, int, Sequence[Header], Ideal, str]]] = [
    (
        "429-retry-after-ms",
        429,
        [("retry-after-ms", "700"), ("Retry-After", "60")],
        Ideal.TRANSIENT,
        "retry-after-ms: 700 wins over retry-after: 60.",
    ),
    (
        "429-retry-after-skewed",
        429,
        [("Date", "Sun, 06 Nov 1994 08:49:37 GMT"), ("Retry-After", "Sun, 06 Nov 1994 08:49:38 GMT")],
        Ideal.TRANSIENT,
        "Date says 1994, Retry-After is that + 1 s: take the difference of the two.",
    ),
    (
        "429-retry-after-absurd",
        429,
        [("Retry-After", "1000000000")],
        Ideal.FATAL,
        "1,000,000,000 s: beyond the deadline, so give up (or fall back) at once, do not sleep.",
    ),
    (
        "429-retry-after-60",
        429,
        [("Retry-After", "60")],
        Ideal.FATAL,
        "60 s, more than the deadline has left: fail or fall back at once.",
    ),
    (
        "429-retry-after-0",
        429,
        [("Retry-After", "0")],
        Ideal.TRANSIENT,
        "0: at once is allowed, a storm is not.",
    ),
    (
        "429-retry-after-float",
        429,
        [("Retry-After", "0.5")],
        Ideal.TRANSIENT,
        "0.5 s, though only whole ones are legal.",
    ),
    ("429-retry-after-negative", 429, [("Retry-After", "-5")], Ideal.TRANSIENT, "-5: as if absent."),
    ("429-retry-after-garbage", 429, [("Retry-After", "soon")], Ideal.TRANSIENT, "'soon': as if absent."),
    ("429-retry-after-empty", 429, [("Retry-After", "")], Ideal.TRANSIENT, "An empty value: as if absent."),
    (
        "429-retry-after-twice",
        429,
        [("Retry-After", "1"), ("Retry-After", "2")],
        Ideal.TRANSIENT,
        "Two Retry-After headers, 1 and 2: some clients join them to '1, 2'.",
    ),
    (
        "429-retry-after-nan",
        429,
        [("Retry-After", "nan")],
        Ideal.TRANSIENT,
        "'nan': min(), max() and sleep() misbehave.",
    ),
    (
        "429-retry-after-inf",
        429,
        [("Retry-After", "inf")],
        Ideal.TRANSIENT,
        "'inf': sleeps for ever, or OverflowError.",
    ),
    (
        "429-retry-after-digits",
        429,
        [("Retry-After", "9" * 5000)],
        Ideal.FATAL,
        "5,000 digits: int() raises ValueError, float() is inf; beyond any deadline.",
    ),
    (
        "429-ratelimit-headers",
        429,
        [
            ("x-ratelimit-limit-requests", "60"),
            ("x-ratelimit-remaining-requests", "0"),
            ("x-ratelimit-reset-requests", "1s"),
        ],
        Ideal.TRANSIENT,
        "x-ratelimit-reset-requests: 1s and no Retry-After.",
    ),
    (
        "500-should-not-retry",
        500,
        [("x-should-retry", "false")],
        Ideal.FATAL,
        "x-should-retry: false on a 500.",
    ),
    (
        "400-should-retry",
        400,
        [("x-should-retry", "true")],
        Ideal.TRANSIENT,
        "x-should-retry: true on a 400.",
    ),
    ("503-retry-after-1", 503, [("Retry-After", "1")], Ideal.TRANSIENT, "503 with Retry-After: 1."),
    (
        "407",
        407,
        [("Proxy-Authenticate", 'Basic realm="proxy"')],
        Ideal.FATAL,
        "A proxy wants a password: no credentials may be sent.",
    ),
]
for _name, _status, _headers, _ideal, _description in _HEADERS:
    FAMILY.add(_name, _description, partial(_refuse, status=_status, headers=_headers), _ideal)

_PLAIN: Final[Sequence[tuple[int, str]]] = [
    (402, "Payment is due."),
    (403, "Forbidden (region, model)."),
    (404, "No such model."),
    (408, "Request timeout."),
    (409, "Conflict (lock timeout)."),
    (413, "The request is too large."),
    (422, "Cannot be processed."),
    (529, "Overloaded, in Anthropic's own number."),
]
for _status, _description in _PLAIN:
    FAMILY.add(str(_status), _description, partial(_refuse, status=_status), ideal_of(_status))

_MEANINGS: Final[Sequence[tuple[str, int, Meaning, Ideal, str]]] = [
    (
        "429-quota",
        429,
        "quota",
        Ideal.FATAL,
        "The quota is used up (insufficient_quota): paying helps, retrying does not.",
    ),
    (
        "400-context-length",
        400,
        "context",
        Ideal.FATAL,
        "The prompt does not fit; a model with more context may take it.",
    ),
    (
        "400-content-filter",
        400,
        "filter",
        Ideal.FATAL,
        "The prompt was blocked; the status alone says 'bad request'.",
    ),
    ("503-overloaded", 503, "overloaded", Ideal.TRANSIENT, "Overloaded, and the body says so."),
]
for _name, _status, _meaning, _ideal, _description in _MEANINGS:
    FAMILY.add(_name, _description, partial(_refuse_for, status=_status, meaning=_meaning), _ideal)


@FAMILY.fault("401", Ideal.FATAL)
def unauthorized(exchange: Exchange) -> None:
    """Bad key; the message repeats part of it: no log may."""
    sent = exchange.request.header("authorization") or exchange.request.header("x-api-key") or "none"
    message = f"Incorrect API key provided: {sent.removeprefix('Bearer ')[:12]}****."
    exchange.respond_json(exchange.dialect.error(401, message=message), 401)


@FAMILY.fault("429-retry-after-date", Ideal.TRANSIENT)
def retry_after_date(exchange: Exchange) -> None:
    """An HTTP-date 2 s ahead."""
    _refuse_until(exchange, exchange.wall + 2)


@FAMILY.fault("429-retry-after-past", Ideal.TRANSIENT)
def retry_after_past(exchange: Exchange) -> None:
    """An HTTP-date an hour ago: as if absent, not 'at once'."""
    _refuse_until(exchange, exchange.wall - 3600)


def _refuse_until(exchange: Exchange, wall: float) -> None:
    now = formatdate(exchange.wall, usegmt=True)
    exchange.refuse(429, [("Date", now), ("Retry-After", formatdate(wall, usegmt=True))])


@FAMILY.fault("429-wait-in-text", Ideal.TRANSIENT)
def wait_in_text(exchange: Exchange) -> None:
    """Only the message says how long to wait ('Please try again in 1.2s.')."""
    message = "Rate limit reached. Please try again in 1.2s."
    exchange.respond_json(exchange.dialect.error(429, message=message), 429)


@FAMILY.fault("429-retry-info", Ideal.TRANSIENT)
def retry_info(exchange: Exchange) -> None:
    """Only the body says how long to wait, as Google's RetryInfo: retryDelay '1s'."""
    body = exchange.dialect.error(429)
    fields = body.get("error")
    detail = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "1s"}
    if isinstance(fields, dict):
        body = {**body, "error": {**fields, "details": [detail]}}
    exchange.respond_json(body, 429)


def _html_page(status: int) -> Callable[[Exchange], None]:
    def serve(exchange: Exchange) -> None:
        title = b"%d Proxy Error" % status
        exchange.respond(_PAGE % (title, title), status, content_type="text/html; charset=utf-8")

    return serve


for _status in (502, 503, 504):
    FAMILY.add(
        f"html-{_status}", f"{_status} with the HTML page of a proxy.", _html_page(_status), Ideal.TRANSIENT
    )


@FAMILY.fault("500-empty", Ideal.TRANSIENT)
def empty_error(exchange: Exchange) -> None:
    """500 with no body at all."""
    exchange.respond(b"", 500, content_type="")


@FAMILY.fault("500-broken-json", Ideal.TRANSIENT)
def broken_error(exchange: Exchange) -> None:
    """500 that says JSON and sends half of it."""
    exchange.respond(b'{"error": {"message": "upstr', 500, content_type="application/json")


@FAMILY.fault("500-stall-body", Ideal.TRANSIENT)
def stalled_error(exchange: Exchange) -> None:
    """500 whose body never comes: the status is enough to go on, well before the deadline."""
    exchange.head(500, [("Content-Length", "400")], content_type="application/json")
    exchange.hold()


@FAMILY.fault("500-infinite-body", Ideal.TRANSIENT)
def infinite_error(exchange: Exchange) -> None:
    """500 whose body never ends: error bodies need a size limit too."""
    exchange.head(500, [("Transfer-Encoding", "chunked")], content_type="text/plain")
    block = b"10000\r\n" + b"e" * 0x10000 + b"\r\n"
    exchange.flood(lambda _: block)
