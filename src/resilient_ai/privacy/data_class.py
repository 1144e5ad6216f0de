"""How sensitive a request is, and whom that permits to see it."""

from __future__ import annotations

from enum import IntEnum


class DataClass(IntEnum):
    """Ranks data by who may see it; a higher class includes the restrictions of all lower ones."""

    PUBLIC = 0
    INTERNAL = 1
    PERSONAL = 2
    RESTRICTED = 3

    @classmethod
    def parse(cls, name: str) -> DataClass:
        """Return the class called `name`, in any case.

        Raises:
            ValueError: There is no such class.
        """
        try:
            return cls[name.upper()]
        except KeyError:
            known = ", ".join(member.name.lower() for member in cls)
            raise ValueError(f"unknown data class {name!r}: expected one of {known}") from None

    def __str__(self) -> str:
        return self.name.lower()


def cleared(clearance: DataClass, data: DataClass) -> bool:
    """Report whether a model cleared for `clearance` may see a request of class `data`."""
    return data <= clearance
