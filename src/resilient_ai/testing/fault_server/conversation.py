"""One connection from beginning to end: its entrance, and request after request."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Final, final

from resilient_ai.core.clock import Clock
from resilient_ai.messages import JSON
from resilient_ai.testing.fault_server.address import Address, split_path
from resilient_ai.testing.fault_server.catalogue import lookup, plain_list
from resilient_ai.testing.fault_server.connection import ClientGone, Connection, Stopped
from resilient_ai.testing.fault_server.dialects import Dialect, ask, route, wants_stream
from resilient_ai.testing.fault_server.exchange import Exchange
from resilient_ai.testing.fault_server.fault import Fault
from resilient_ai.testing.fault_server.listener import HOST, Listener
from resilient_ai.testing.fault_server.record import LEAK, Entry, RequestLog
from resilient_ai.testing.fault_server.request import BadRequestError, Request, read_request
from resilient_ai.testing.fault_server.tls import server_context
from resilient_ai.testing.fault_server.visits import Visit, Visits

_HEALTHY: Final = "none"
_LOST: Final = "Nothing is here. GET / lists the faults; below one of them live the paths of the dialects.\n"


@final
@dataclass(frozen=True, slots=True)
class Books:
    """What all conversations of a server share.

    Attributes:
        log: What arrived.
        visits: How often.
        clock: Where time is read.
        flood_bytes: After this much an endless answer falls silent.
    """

    log: RequestLog
    visits: Visits
    clock: Clock
    flood_bytes: int


@final
class Conversation:
    """Talks to one client. Used by one thread.

    Args:
        connection: The accepted connection; closed when `run` returns.
        listener: The port it came in by.
        books: What is shared.
        elsewhere: The port of the other origin.
    """

    def __init__(self, connection: Connection, listener: Listener, books: Books, *, elsewhere: int) -> None:
        self._connection = connection
        self._listener = listener
        self._books = books
        self._elsewhere = elsewhere

    def run(self) -> None:
        """Serves requests until the client leaves, a fault ends the connection, or the server closes."""
        connection = self._connection
        try:
            self._let_in()
            while connection.is_open and self._serve_next():
                connection.rearm()
            connection.finish()
        except ClientGone:
            pass
        except Stopped:
            # FIN would pass for the good end of an answer that has no length.
            connection.reset()
        finally:
            connection.close()

    def _let_in(self) -> None:
        """Does what happens before there is a request: the fault of the entrance, or TLS."""
        entrance = self._listener.entrance
        if entrance is None:
            return
        address = self._listener.address
        if entrance.greet is not None and address is not None and self._books.visits.fails(address):
            with self._books.visits.visit(address) as visit, self._recorded(self._entry(address, visit)):
                entrance.greet(self._connection)
            self._connection.close()
        elif entrance.certificate is not None:
            healed = address is not None and not self._books.visits.fails(address)
            try:
                self._connection.start_tls(server_context("loopback" if healed else entrance.certificate))
            except ClientGone:
                with self._recorded(self._entry(address, None)):
                    raise

    def _serve_next(self) -> bool:
        """Serves one request; False when the connection is to be closed."""
        try:
            request = read_request(self._connection)
        except BadRequestError:
            with self._recorded(self._entry(None, None)) as entry:
                self._say(entry, 400, "This is not HTTP/1.1.\n")
            return False
        if request is None:
            return False
        self._connection.requests += 1
        self._connection.rearm()
        self._serve(request)
        return not request.wants_close()

    def _serve(self, request: Request) -> None:
        found = split_path(request.path)
        if found is None:
            with self._recorded(self._entry(None, None, request)) as entry:
                self._say(entry, *((200, plain_list()) if request.path == "/" else (404, _LOST)))
            return
        spec, rest = found
        try:
            address = Address.parse(spec)
            fault = lookup(address.name, address.argument)
        except ValueError as error:
            with self._recorded(self._entry(None, None, request)) as entry:
                self._say(entry, 404, f"{error}\n")
            return
        with self._books.visits.visit(address) as visit:
            leaked = self._listener.elsewhere
            # A fault of the entrance is over once a request got through.
            failing = visit.failing and fault.entrance is None and fault.name != _HEALTHY and not leaked
            seen = Address(LEAK, session=address.session) if leaked else address
            due = fault if failing else lookup(_HEALTHY)
            with self._recorded(self._entry(seen, replace(visit, failing=failing), request)) as entry:
                dialect = route(rest)
                if dialect is None:
                    self._say(entry, 404, _LOST)
                else:
                    self._answer(request, entry, due, dialect, visit.in_flight)

    def _answer(self, request: Request, entry: Entry, fault: Fault, dialect: Dialect, in_flight: int) -> None:
        body: Mapping[str, JSON] = request.json_object()
        streaming = wants_stream(dialect, request.path, body)
        exchange = Exchange(
            self._connection,
            request,
            entry=entry,
            dialect=dialect,
            answer=ask(dialect, request.path, body, f"fault{entry.visit:04}"),
            streaming=streaming,
            argument="" if fault.argument is None else fault.argument.value,
            in_flight=in_flight,
            wall=self._books.clock.wall(),
            elsewhere=f"http://{HOST}:{self._elsewhere}{request.target}",
            flood_bytes=self._books.flood_bytes,
        )
        if fault.only is None or (fault.only == "stream") is streaming:
            fault.serve(exchange)
        else:
            exchange.good()

    @contextmanager
    def _recorded(self, entry: Entry) -> Generator[Entry]:
        """Puts `entry` into the log, and how it ended."""
        log = self._books.log
        log.add(entry)
        hung_up = False
        try:
            yield entry
        except ClientGone:
            hung_up = not entry.answered
            raise
        finally:
            log.close(entry, hung_up=hung_up)

    def _entry(self, address: Address | None, visit: Visit | None, request: Request | None = None) -> Entry:
        return Entry(
            fault=address.fault if address else "",
            session=address.session if address else "",
            visit=visit.number if visit else 0,
            failing=visit.failing if visit else address is not None,
            method=request.method if request else "",
            path=request.target if request else "",
            headers=request.headers if request else (),
            body=request.body if request else b"",
            connection=self._connection.number,
            port=self._listener.port,
            started=self._books.clock.now(),
        )

    def _say(self, entry: Entry, status: int, text: str) -> None:
        """Answers in plain text, outside of any dialect."""
        body = text.encode()
        head = f"HTTP/1.1 {status} -\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {len(body)}\r\n\r\n"
        self._connection.send(head.encode() + body)
        entry.bytes_sent = self._connection.bytes_sent
        entry.answered = True
