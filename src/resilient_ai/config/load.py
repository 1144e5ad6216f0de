"""Finds, reads and checks the configuration file."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final, cast

from resilient_ai.config.checks import check_config
from resilient_ai.config.digest import policy_digest
from resilient_ai.config.file import Config
from resilient_ai.config.problems import problems_of
from resilient_ai.config.read import PYPROJECT, Source, has_pyproject_table, read_file
from resilient_ai.errors import ConfigError

VARIABLE: Final = "RESILIENT_AI_CONFIG"
"""The environment variable that names the file."""

FILE_NAME: Final = "resilient.toml"
"""The file looked for in the working directory."""


def find_config(
    path: str | os.PathLike[str] | None = None,
    *,
    directory: Path | None = None,
    environ: Mapping[str, str] | None = None,
) -> Path:
    """The configuration file: `path`, or what RESILIENT_AI_CONFIG names, or ./resilient.toml, or ./pyproject.toml.

    pyproject.toml counts if it has a `[tool.resilient-ai]` table.

    Args:
        path: The file, where it is known.
        directory: Where to look, instead of the working directory.
        environ: Environment variables, instead of the process's.

    Raises:
        ConfigError: No file is found. The text says where it was looked for.
    """
    directory = Path() if directory is None else directory
    environ = os.environ if environ is None else environ
    named = os.fspath(path) if path is not None else environ.get(VARIABLE)
    if named:
        found = directory / Path(named).expanduser()
        if not found.is_file():
            said = "" if path is not None else f" (named by {VARIABLE})"
            raise ConfigError(f"there is no such file{said}", path=str(found))
        return found
    own, pyproject = directory / FILE_NAME, directory / PYPROJECT
    if own.is_file():
        return own
    if has_pyproject_table(pyproject):
        return pyproject
    raise ConfigError(
        f"no configuration file: none was given, {VARIABLE} is not set, there is no {own}, "
        f"and {pyproject} has no [tool.resilient-ai] table. Write one of them, or name a file"
    )


def load_config(
    path: str | os.PathLike[str] | None = None, *, environ: Mapping[str, str] | None = None
) -> Config:
    """Reads and checks the configuration file, found as by `find_config`.

    Keys of models are not looked up yet: an application needs only those of the chains it uses.

    Raises:
        ConfigError: The file is not found, not readable or not right. The first problem; the others stand in its notes.
    """
    return config_of(read_file(find_config(path, environ=environ)))


def config_of(source: Source) -> Config:
    """Checks the settings of `source`.

    Raises:
        ConfigError: As for `load_config`.
    """
    found = examine(source)
    if isinstance(found, Config):
        return found
    first, *others = found
    for other in others:
        first.add_note(str(other))
    raise first


def examine(source: Source) -> Config | list[ConfigError]:
    """The configuration in `source`, or everything that is wrong with it in the order of its lines: never an empty list."""
    from pydantic import ValidationError

    from resilient_ai.config.schema import FILE

    try:
        tables = FILE.validate_python(dict(source.data))
    except ValidationError as error:
        return problems_of(error, source)
    config = Config(source, tables, policy_digest(cast("Mapping[str, object]", tables)))
    return check_config(config) or config
