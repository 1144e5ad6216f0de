"""Faults before there is a request: no connection, no TLS, or one that dies at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from resilient_ai.testing.fault_server.connection import Connection
from resilient_ai.testing.fault_server.fault import Entrance, Family, Ideal

if TYPE_CHECKING:
    from resilient_ai.testing.fault_server.exchange import Exchange

CONNECT: Final = Family("connect")
TLS: Final = Family("tls")

_PLAIN_ANSWER: Final = (
    b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nContent-Length: 12\r\n"
    b"Connection: close\r\n\r\nplain HTTP.\n"
)
_NOT_TLS: Final = b"220 mail.invalid ESMTP ready\r\n"


def _good(exchange: Exchange) -> None:
    exchange.good()


def _reset(connection: Connection) -> None:
    connection.reset()


def _finish(connection: Connection) -> None:
    connection.finish()


def _hold(connection: Connection) -> None:
    connection.hold()


def _reset_after_hello(connection: Connection) -> None:
    connection.read_some()
    connection.reset()


def _finish_after_hello(connection: Connection) -> None:
    connection.read_some()
    connection.finish()


def _answer_in_plain(connection: Connection) -> None:
    connection.read_some()
    connection.send(_PLAIN_ANSWER)
    connection.finish()


def _answer_as_something_else(connection: Connection) -> None:
    connection.send(_NOT_TLS)
    connection.read_some()
    connection.finish()


CONNECT.add(
    "connect-blackhole",
    "The listen backlog is full: SYN is not answered, so connecting times out. Ends with `heal`.",
    _good,
    Ideal.TRANSIENT,
    entrance=Entrance("blackhole"),
)
CONNECT.add(
    "connect-refused",
    "Nobody listens on the port: RST upon SYN. Ends with `heal`.",
    _good,
    Ideal.TRANSIENT,
    entrance=Entrance("refused"),
)
CONNECT.add(
    "dns-failure",
    "The host name is under .invalid, so it does not resolve.",
    _good,
    Ideal.TRANSIENT,
    entrance=Entrance("nowhere"),
)
CONNECT.add(
    "rst-on-accept",
    "RST as soon as the connection stands.",
    _good,
    Ideal.TRANSIENT,
    entrance=Entrance(greet=_reset),
)
CONNECT.add(
    "fin-on-accept",
    "FIN as soon as the connection stands.",
    _good,
    Ideal.TRANSIENT,
    entrance=Entrance(greet=_finish),
)

TLS.add(
    "tls-self-signed",
    "The certificate is not trusted: never retried, never sent in clear.",
    _good,
    Ideal.FATAL,
    entrance=Entrance(certificate="loopback", scheme="https"),
)
TLS.add(
    "tls-expired",
    "The certificate expired in 2002.",
    _good,
    Ideal.FATAL,
    entrance=Entrance(certificate="expired", scheme="https"),
)
TLS.add(
    "tls-wrong-host",
    "The certificate is of another host.",
    _good,
    Ideal.FATAL,
    entrance=Entrance(certificate="wrong_host", scheme="https"),
)
TLS.add(
    "tls-plaintext",
    "https:// to a port that speaks plain HTTP.",
    _good,
    Ideal.FATAL,
    entrance=Entrance(greet=_answer_in_plain, certificate="loopback", scheme="https"),
)
TLS.add(
    "tls-other-protocol",
    "https:// to a port that greets like a mail server.",
    _good,
    Ideal.FATAL,
    entrance=Entrance(greet=_answer_as_something_else, certificate="loopback", scheme="https"),
)
TLS.add(
    "tls-handshake-stall",
    "TCP accepts, the handshake gets no byte.",
    _good,
    Ideal.TRANSIENT,
    entrance=Entrance(greet=_hold, certificate="loopback", scheme="https"),
)
TLS.add(
    "tls-handshake-rst",
    "RST upon ClientHello.",
    _good,
    Ideal.TRANSIENT,
    entrance=Entrance(greet=_reset_after_hello, certificate="loopback", scheme="https"),
)
TLS.add(
    "tls-handshake-fin",
    "FIN upon ClientHello.",
    _good,
    Ideal.TRANSIENT,
    entrance=Entrance(greet=_finish_after_hello, certificate="loopback", scheme="https"),
)
