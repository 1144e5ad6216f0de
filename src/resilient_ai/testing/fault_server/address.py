"""The part of a URL that says which fault is wanted: `/f/NAME[:ARGUMENT][~TIMES][@SESSION]/...`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Self, final
from urllib.parse import quote, unquote

PREFIX: Final = "/f/"
_SPEC: Final = re.compile(
    r"(?P<name>[a-z0-9-]+)(:(?P<argument>[A-Za-z0-9.]+))?(~(?P<times>[0-9]+))?(@(?P<session>[\w.-]+))?",
    re.ASCII,
)


@final
@dataclass(frozen=True, slots=True)
class Address:
    """A fault as addressed.

    Attributes:
        name: The fault's name, without its argument.
        argument: The argument, or None for the fault's own default.
        times: How many requests fail before the rest succeed; None for all.
        session: What keeps the counters of parallel tests apart, or empty.
    """

    name: str
    argument: str | None = None
    times: int | None = None
    session: str = ""

    @classmethod
    def parse(cls, spec: str) -> Self:
        """Reads `NAME[:ARGUMENT][~TIMES][@SESSION]`.

        Raises:
            ValueError: It does not have that form.
        """
        match = _SPEC.fullmatch(spec)
        if match is None:
            raise ValueError(f"expected NAME[:ARGUMENT][~TIMES][@SESSION], got {spec!r}")
        times = match["times"]
        return cls(
            name=match["name"],
            argument=match["argument"],
            times=None if times is None else int(times),
            session=match["session"] or "",
        )

    @property
    def fault(self) -> str:
        """The name with its argument."""
        return self.name if self.argument is None else f"{self.name}:{self.argument}"

    @property
    def path(self) -> str:
        """The path that leads here, without a trailing slash."""
        times = "" if self.times is None else f"~{self.times}"
        session = f"@{self.session}" if self.session else ""
        return PREFIX + quote(f"{self.fault}{times}{session}", safe=":~@")

    def belongs_to(self, key: str) -> bool:
        """Whether `key` is the session, the fault with its argument, or the fault's bare name."""
        return key in {self.session, self.fault, self.name}


def split_path(path: str) -> tuple[str, str] | None:
    """The fault's part of a request path and what follows it; None if the path leads to no fault."""
    if not path.startswith(PREFIX):
        return None
    spec, _, rest = path.removeprefix(PREFIX).partition("/")
    return unquote(spec), f"/{rest}"
