"""A configuration file that can be read again while it is in use."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar, cast, final, overload

from resilient_ai.config.file import Config
from resilient_ai.config.load import config_of, find_config
from resilient_ai.config.read import read_file
from resilient_ai.core.fork import ChildLock
from resilient_ai.errors import ConfigError

T = TypeVar("T")


@final
@dataclass(frozen=True, slots=True)
class Reloaded(Generic[T]):
    """What a reload did.

    Attributes:
        old: What was in force before.
        new: What is in force now.
        built: What was built from it; None if nothing was to be.
    """

    old: Config
    new: Config
    built: T

    @property
    def changed(self) -> bool:
        """The settings differ. A file that was only written anew, or whose comments changed, has not changed."""
        return self.old.digest != self.new.digest


@final
class ConfigSource:
    """One configuration file, and what was last read from it. Safe to share between threads.

    The file is found once, when this object is made: a later change of RESILIENT_AI_CONFIG or of the working directory does not
    move a running process to another file.
    """

    def __init__(
        self, path: str | os.PathLike[str] | None = None, *, environ: Mapping[str, str] | None = None
    ) -> None:
        self.path: Path = find_config(path, environ=environ).absolute()
        self._reading = ChildLock()
        self._current = config_of(read_file(self.path))
        self._error: ConfigError | None = None

    @property
    def current(self) -> Config:
        """The settings in force."""
        return self._current

    @property
    def error(self) -> ConfigError | None:
        """Why the last reload kept the old settings; None if it did not."""
        return self._error

    @overload
    def reload(self) -> Reloaded[None]: ...

    @overload
    def reload(self, build: Callable[[Config], T]) -> Reloaded[T]: ...

    def reload(self, build: Callable[[Config], T] | None = None) -> Reloaded[T] | Reloaded[None]:
        """Reads the file again and puts its settings in force, as a whole or not at all.

        Args:
            build: Builds whatever is to be built from the new settings, before they take force; what it raises refuses them. Runs
                while other reloads wait; `current` stays readable.

        Raises:
            ConfigError: The new file is not right or was refused. The old settings stay in force, and `error` says why.
        """
        with self._reading:
            old = self._current
            try:
                new = config_of(read_file(self.path))
                built = None if build is None else build(new)
            except ConfigError as error:
                self._error = error
                raise
            self._current = new
            self._error = None
            return Reloaded(old, new, cast("T", built))

    def __repr__(self) -> str:
        return f"ConfigSource({str(self.path)!r}, policy {self._current.digest})"
