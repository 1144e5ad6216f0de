"""What `resilient` was given, and what a configuration file adds to it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias, cast, final

if TYPE_CHECKING:
    import os

    from resilient_ai.config.file import Config
    from resilient_ai.core.model import Model
    from resilient_ai.decorator.text import Prompt
    from resilient_ai.messages import DataClassName, Reply

Fallback: TypeAlias = "str | Model | Callable[..., object]"
"""Who answers when the function cannot: a function of the same arguments, a model, or a model's name."""


@final
@dataclass(frozen=True, slots=True)
class Settings:
    """What `resilient` was given.

    Attributes:
        policies: Arguments of `ResilientModel` that were given.
        fallback: Who answers behind the function.
        chain: The chain of the configuration file whose policies apply, or None.
        config: The file; None looks where `ResilientModel.from_config` does.
        name: The name in telemetry; None takes the function's.
        data_class: How sensitive the arguments are.
        prompt: What a text model is asked.
        result: Makes what the function returns of a text model's reply.
        on_restart: Called when a generator's items begin anew.
    """

    policies: Mapping[str, Any]
    fallback: tuple[Fallback, ...] = ()
    chain: str | None = None
    config: str | os.PathLike[str] | None = None
    name: str | None = None
    data_class: DataClassName | None = None
    prompt: Prompt | None = None
    result: Callable[[Reply], Any] | None = None
    on_restart: Callable[[], object] | None = None

    @property
    def from_file(self) -> bool:
        """A configuration file takes part."""
        return self.chain is not None or self.config is not None

    def read(self) -> FromFile:
        """What the file says.

        Raises:
            ConfigError: It is missing or wrong, or has no such chain.
        """
        from resilient_ai.config.build import chain_policy
        from resilient_ai.config.load import load_config
        from resilient_ai.config.telemetry import check_audit

        config = load_config(self.config)
        check_audit(config)
        return FromFile(chain_policy(config, self.chain).arguments(), config, self.chain)


@final
@dataclass(frozen=True, slots=True)
class FromFile:
    """A chain of a configuration file, as far as a decorated function takes part in it.

    Attributes:
        policies: Its policies, as arguments of `ResilientModel`.
    """

    policies: Mapping[str, Any]
    _config: Config
    _chain: str | None

    def model(self, one: Fallback) -> Model | None:
        """The model of the file that `one` names; None if it names none.

        Raises:
            ConfigError: It cannot be built.
        """
        if not isinstance(one, str) or one not in self._config.models:
            return None
        from resilient_ai.config.build import build_model

        return build_model(self._config, one, self._config.chain(self._chain))


def members(fallback: Fallback | Iterable[Fallback]) -> tuple[Fallback, ...]:
    """What was given as `fallback=`, one or several."""
    if isinstance(fallback, str) or callable(fallback) or is_model(fallback):
        return (cast("Fallback", fallback),)
    if isinstance(fallback, Iterable):
        return tuple(fallback)
    return (fallback,)


def is_model(one: object) -> bool:
    """`one` speaks the protocol of models."""
    return hasattr(one, "answer") and hasattr(one, "open") and hasattr(one, "traits")
