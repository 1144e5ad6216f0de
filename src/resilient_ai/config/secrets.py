"""Where a key is, never the key itself: `env:NAME` or `file:PATH`.

A key written into a configuration file ends up in version control, in backups and in support tickets, so it is an error there,
and the error does not repeat it.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from resilient_ai.privacy import Secret

REFERENCE_PATTERN: Final = r"^(env:[A-Za-z_][A-Za-z0-9_]*|file:.*\S.*)$"
"""What a reference looks like; the JSON Schema carries the same pattern."""

MAX_SECRET_BYTES: Final = 65_536
"""A key file beyond this is a wrong file."""

_REFERENCE: Final = re.compile(REFERENCE_PATTERN)


class KeyLookup(Protocol):
    """Gives the secret a reference points to; relative `file:` paths start at `directory`."""

    def __call__(self, reference: str, directory: Path) -> Secret:
        """The secret.

        Raises:
            LookupError: It is not there. The text names the variable or the file, and is fit to be shown.
        """
        ...


def check_reference(value: object) -> str:
    """`value`, if it is a reference.

    Raises:
        ValueError: It is anything else, perhaps the secret itself. The text does not repeat it.
    """
    if isinstance(value, str) and _REFERENCE.fullmatch(value):
        return value
    raise ValueError(
        'a key does not stand in this file; write where it is: "env:NAME" or "file:PATH". '
        "If a key was written here, it is no longer secret: replace it"
    )


def look_up(reference: str, directory: Path) -> Secret:
    """The secret `reference` points to, without white space around it. Every redactor of the process knows it from then on.

    Raises:
        LookupError: The variable is not set, the file cannot be read, or what is there is not one line of text.
    """
    from resilient_ai.privacy import Secret, register

    kind, _, name = reference.partition(":")
    secret, where = _variable(name) if kind == "env" else _file(directory / Path(name.strip()).expanduser())
    if not secret:
        raise LookupError(f"{where} is empty")
    if any(character in secret for character in "\r\n"):
        raise LookupError(f"{where} holds more than one line")
    found = Secret(secret)
    register(found)
    return found


def stand_in(reference: str, directory: Path) -> Secret:  # noqa: ARG001 - a key lookup that looks nowhere
    """A secret that opens nothing: to look at a chain on a machine that does not hold its keys."""
    from resilient_ai.privacy import Secret

    return Secret("stand-in")


def _variable(name: str) -> tuple[str, str]:
    if name not in os.environ:
        raise LookupError(f"the environment variable {name} is not set")
    return os.environ[name].strip(), f"the environment variable {name}"


def _file(path: Path) -> tuple[str, str]:
    try:
        with path.open("rb") as file:
            return file.read(MAX_SECRET_BYTES).decode("utf-8").strip(), f"the file {path}"
    except OSError as error:
        raise LookupError(f"the file {path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise LookupError(f"the file {path} is not UTF-8 text") from None
