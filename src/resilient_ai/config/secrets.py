"""Where a key is, never the key itself: `env:NAME` or `file:PATH`.

A key written into a configuration file ends up in version control, in backups and in support tickets, so it is an error there,
and the error does not repeat it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

REFERENCE_PATTERN: Final = r"^(env:[A-Za-z_][A-Za-z0-9_]*|file:.*\S.*)$"
"""What a reference looks like; the JSON Schema carries the same pattern."""

MAX_SECRET_BYTES: Final = 65_536
"""A key file beyond this is a wrong file."""

_REFERENCE: Final = re.compile(REFERENCE_PATTERN)


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


def resolve_reference(reference: str, *, directory: Path, environ: Mapping[str, str]) -> str:
    """The secret `reference` points to, without white space around it.

    Args:
        reference: As `check_reference` accepts it.
        directory: Where relative `file:` paths start: the directory of the configuration file.
        environ: The environment variables.

    Raises:
        LookupError: The variable is not set, the file cannot be read, or there is nothing in it. The text names the
            variable or the file, and is fit to be shown.
    """
    kind, _, name = reference.partition(":")
    if kind == "env":
        if name not in environ:
            raise LookupError(f"the environment variable {name} is not set")
        secret = environ[name].strip()
        where = f"the environment variable {name}"
    else:
        path = directory / Path(name.strip()).expanduser()
        where = f"the file {path}"
        try:
            with path.open("rb") as file:
                secret = file.read(MAX_SECRET_BYTES).decode("utf-8").strip()
        except OSError as error:
            raise LookupError(f"{where} cannot be read: {error.strerror}") from None
        except UnicodeDecodeError:
            raise LookupError(f"{where} is not UTF-8 text") from None
    if not secret:
        raise LookupError(f"{where} is empty")
    if any(character in secret for character in "\r\n"):
        raise LookupError(f"{where} holds more than one line")
    return secret
