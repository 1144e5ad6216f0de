"""A fault: its name, what it does, and what an ideal client does about it."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Final, Literal, TypeAlias, final

from resilient_ai.testing.fault_server.tls import Certificate

if TYPE_CHECKING:
    from resilient_ai.testing.fault_server.connection import Connection
    from resilient_ai.testing.fault_server.exchange import Exchange

Mode: TypeAlias = Literal["json", "stream"]


@final
class Ideal(StrEnum):
    """What an ideal client makes of a fault."""

    OK = "ok"
    TRANSIENT = "transient"
    FATAL = "fatal"
    ERROR = "error"
    PARTIAL = "partial"
    DEADLINE = "deadline"
    FLAG = "flag"


IDEALS: Final = {
    Ideal.OK: "the full text and no error: the oddity is legal",
    Ideal.TRANSIENT: "a typed error that is retried; if the fault goes away in time, the call succeeds",
    Ideal.FATAL: "a typed error at once, after one attempt",
    Ideal.ERROR: "a typed error; whether to retry is policy",
    Ideal.PARTIAL: "what came is delivered, then a typed error, never a normal end",
    Ideal.DEADLINE: "a typed error at the deadline, and the connection is closed",
    Ideal.FLAG: "no error, but visible in the outcome",
}
"""Each ideal in words."""


@final
@dataclass(frozen=True, slots=True)
class Argument:
    """The number behind the colon of a fault's name.

    Attributes:
        value: As written in the URL.
        unit: What it counts. Only seconds and shares may have a fraction.
    """

    value: str
    unit: Literal["seconds", "share", "count", "MiB", "status"]

    def accepts(self, value: str) -> bool:
        """Whether `value` can stand in the place of this one."""
        if self.unit == "status":
            return re.fullmatch(r"[3-9][0-9][0-9]", value) is not None
        pattern = r"[0-9]{1,9}(\.[0-9]{1,9})?" if self.unit in {"seconds", "share"} else r"[0-9]{1,9}"
        return re.fullmatch(pattern, value) is not None and float(value) > 0


@final
@dataclass(frozen=True, slots=True)
class Entrance:
    """A way in that is faulty itself, before there is a request; each fault URL has its own port then.

    Attributes:
        kind: `port` listens, `blackhole` has its backlog full, `refused` does not listen, `nowhere` has no
            address.
        greet: What happens to an accepted connection while the fault lasts, before TLS; None for nothing.
        certificate: The certificate shown; None for plain HTTP.
        scheme: What the URL says.
    """

    kind: Literal["port", "blackhole", "refused", "nowhere"] = "port"
    greet: Callable[[Connection], None] | None = None
    certificate: Certificate | None = None
    scheme: Literal["http", "https"] = "http"

    @property
    def counts(self) -> bool:
        """Whether the server sees each failing attempt, so that `times` can be kept."""
        return self.kind == "port" and self.greet is not None


@final
@dataclass(frozen=True, slots=True)
class Fault:
    """One row of the catalogue.

    Attributes:
        name: What stands in the URL.
        family: Where in an exchange it strikes.
        description: What the server does, in a line.
        json: The ideal for a plain answer.
        stream: The ideal for a streamed one.
        serve: What is done to a request.
        argument: The argument, the default one in the catalogue; None if the fault takes none.
        only: The one mode it changes; in the other one a good answer is served.
        entrance: Its own way in, or None.
    """

    name: str
    family: str
    description: str
    json: Ideal
    stream: Ideal
    serve: Callable[[Exchange], None]
    argument: Argument | None = None
    only: Mode | None = None
    entrance: Entrance | None = None

    @property
    def spec(self) -> str:
        """The name as written in a URL, with its argument."""
        return self.name if self.argument is None else f"{self.name}:{self.argument.value}"


@final
class Family:
    """Collects the faults of one module. Filled on import, read-only afterwards."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.faults: list[Fault] = []

    def fault(
        self,
        name: str,
        json: Ideal,
        stream: Ideal | None = None,
        *,
        argument: Argument | None = None,
        only: Mode | None = None,
        entrance: Entrance | None = None,
    ) -> Callable[[Callable[[Exchange], None]], Callable[[Exchange], None]]:
        """Registers the decorated function under `name`; the first line of its docstring describes it."""

        def register(serve: Callable[[Exchange], None]) -> Callable[[Exchange], None]:
            description = (serve.__doc__ or "").strip().partition("\n")[0]
            self.add(name, description, serve, json, stream, argument=argument, only=only, entrance=entrance)
            return serve

        return register

    def add(
        self,
        name: str,
        description: str,
        serve: Callable[[Exchange], None],
        json: Ideal,
        stream: Ideal | None = None,
        *,
        argument: Argument | None = None,
        only: Mode | None = None,
        entrance: Entrance | None = None,
    ) -> None:
        """Registers a fault; `stream` is as `json` unless given, and `ok` in a mode it does not change."""
        fault = Fault(
            name=name,
            family=self.name,
            description=description,
            json=json,
            stream=json if stream is None else stream,
            serve=serve,
            argument=argument,
            only=only,
            entrance=entrance,
        )
        if only == "stream":
            fault = replace(fault, json=Ideal.OK)
        elif only == "json":
            fault = replace(fault, stream=Ideal.OK)
        self.faults.append(fault)
