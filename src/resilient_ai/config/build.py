"""Turns a chain of the configuration file into what `ResilientModel` takes: its models, and its policies."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast, final

from resilient_ai.config.chains import EffectiveChain
from resilient_ai.config.providers import PROVIDERS, installed_providers
from resilient_ai.config.secrets import KeyLookup, look_up, stand_in
from resilient_ai.core.model import Price
from resilient_ai.errors import ConfigError
from resilient_ai.model import ResilientModel
from resilient_ai.policies.breaker import Breaker
from resilient_ai.policies.budget import RetryBudget
from resilient_ai.policies.exposure import Privacy
from resilient_ai.policies.fallback import OnInterrupt, WhenAllOpen
from resilient_ai.policies.hedge import Hedge
from resilient_ai.policies.limits import Limits
from resilient_ai.policies.retry import Retry
from resilient_ai.policies.spending import CostCap
from resilient_ai.policies.throttle import Throttle
from resilient_ai.policies.timeouts import DEADLINE_SECONDS, Timeouts
from resilient_ai.privacy.key_names import Secrecy, secrecy

if TYPE_CHECKING:
    from resilient_ai.config.file import Config
    from resilient_ai.config.schema import TimeoutsTable
    from resilient_ai.config.toml_lines import KeyPath
    from resilient_ai.core.model import Model
    from resilient_ai.privacy import Secret

_OptionsT = TypeVar("_OptionsT")


@final
@dataclass(frozen=True, slots=True)
class ChainPolicy:
    """The policies of a chain, named as the arguments of `ResilientModel`. What the file leaves out has its default."""

    deadline: float
    reserve: float | None
    retry: Retry
    timeouts: Timeouts
    breaker: Breaker
    budget: RetryBudget
    limits: Limits
    throttle: Throttle | None
    hedge: Hedge | None
    max_cost: CostCap
    privacy: Privacy
    on: Mapping[str, str]
    on_interrupt: OnInterrupt
    when_all_open: WhenAllOpen

    def arguments(self) -> dict[str, Any]:
        """Keyword arguments for `ResilientModel`."""
        return {one.name: getattr(self, one.name) for one in fields(self)}


def chain_policy(config: Config, chain: str | None = None) -> ChainPolicy:
    """The policies of the chain `chain` of `config`; of the only or the default one without a name.

    Raises:
        ConfigError: There is no such chain, or a policy refuses its options.
    """
    effective = config.chain(chain)
    settings = cast("Mapping[str, object]", effective.settings)

    def options(of: Callable[..., _OptionsT], key: str) -> _OptionsT:
        written = cast("Mapping[str, object]", settings.get(key, {}))
        try:
            return of(**written)
        except ConfigError as error:
            raise config.source.error(str(error), effective.place(key), suggestion=error.suggestion) from None

    return ChainPolicy(
        deadline=effective.settings.get("deadline", DEADLINE_SECONDS),
        reserve=effective.settings.get("reserve"),
        retry=options(Retry, "retry"),
        timeouts=options(Timeouts, "timeouts"),
        breaker=options(Breaker, "breaker"),
        budget=options(RetryBudget, "budget"),
        limits=options(Limits, "limits"),
        hedge=options(Hedge, "hedge") if "hedge" in settings else None,
        throttle=options(Throttle, "throttle") if "throttle" in settings else None,
        max_cost=options(CostCap, "max_cost"),
        privacy=Privacy(tuple(config.tables.get("privacy", {}).get("pseudonymise", ()))),
        on=cast("Mapping[str, str]", settings.get("on", {})),
        on_interrupt=effective.settings.get("on_interrupt", "raise"),
        when_all_open=effective.settings.get("when_all_open", "last_resort"),
    )


def chain_models(config: Config, chain: str | None = None, *, keys: KeyLookup = look_up) -> tuple[Model, ...]:
    """The models of the chain, in order, made with their keys. They are the caller's to close.

    Raises:
        ConfigError: A key is not where it should be, an extra is not installed, or a model refuses its settings; with the line.
    """
    effective = config.chain(chain)
    models: list[Model] = []
    try:
        for name in effective.settings.get("models", []):
            models.append(build_model(config, name, effective, keys=keys))  # noqa: PERF401 - closed below on error
    except BaseException:
        for model in models:
            model.close()
        raise
    return tuple(models)


def build_model(
    config: Config,
    name: str,
    chain: EffectiveChain | None = None,
    *,
    keys: KeyLookup = look_up,
) -> Model:
    """The model `name` of the file, made with its key.

    Its own timeouts, one by one, take precedence over those of `chain`.

    Raises:
        ConfigError: As for `chain_models`.
    """
    table = config.models[name]
    place = ("models", name)
    arguments: dict[str, object] = {
        key: value
        for key, value in table.items()
        if key not in {"provider", "model", "path", "text", "options"}
    }
    own = PROVIDERS.get(table["provider"])
    if keys is stand_in and own is not None and "api_key" in own.optional:
        # Without it the model would look for the key where its provider's own client does.
        arguments["api_key"] = keys("", Path())
    elif "api_key" in table:
        arguments["api_key"] = resolved(table["api_key"], (*place, "api_key"), config, keys)
    if "price" in table:
        arguments["price"] = Price(**table["price"])
    if "timeouts" in table:
        shared: TimeoutsTable = {} if chain is None else chain.settings.get("timeouts", {})
        arguments["timeouts"] = Timeouts(**cast("dict[str, float]", {**shared, **table["timeouts"]}))
    for key in ("data_classes", "capabilities"):
        if key in table:
            arguments[key] = tuple(cast("list[str]", arguments[key]))
    for key, value in table.get("options", {}).items():
        arguments.setdefault(key, _without_references(value, key, (*place, "options", key), config, keys))
    identity: list[str] = []
    if "model" in table:
        identity.append(table["model"])
    elif "path" in table:
        identity.append(str(file_path(config, table["path"])))
    elif "text" in table:
        identity.append(table["text"])
        arguments["name"] = name
    make = _factory(config, name)
    try:
        return make(*identity, **arguments)
    except ConfigError as error:
        at = place if error.key is None else (*place, *error.key.split("."))
        raise config.source.error(str(error), at, suggestion=error.suggestion) from None
    except TypeError as error:
        raise config.source.error(
            f"the provider does not take these settings ({type(error).__name__}).", place
        ) from error


def resolved(reference: str, place: KeyPath, config: Config, keys: KeyLookup) -> Secret:
    """The secret that `reference`, at `place` in the file, points to, as `keys` looks it up.

    Raises:
        ConfigError: It is not there; with the line.
    """
    try:
        return keys(reference, file_path(config, ""))
    except LookupError as error:
        raise config.source.error(f"{error.args[0]}.", place) from None


def file_path(config: Config, written: str) -> Path:
    """The file that `written` names in `config`: a relative one starts at the directory of the configuration file."""
    return config.path.absolute().parent / Path(written).expanduser()


def _without_references(value: object, name: str, place: KeyPath, config: Config, keys: KeyLookup) -> object:
    """An option with its keys looked up: only what is named like a key can be a reference to one."""
    if isinstance(value, dict):
        table = cast("dict[str, object]", value)
        return {
            key: _without_references(inner, key, (*place, key), config, keys) for key, inner in table.items()
        }
    if isinstance(value, str) and secrecy(name) is Secrecy.CERTAIN:
        return resolved(value, place, config, keys)
    return value


def _factory(config: Config, name: str) -> Callable[..., Model]:
    provider = config.models[name]["provider"]
    own = PROVIDERS.get(provider)
    if own is not None:
        module = importlib.import_module("resilient_ai.models")
        return cast("Callable[..., Model]", getattr(module, own.factory))
    try:
        return cast("Callable[..., Model]", installed_providers()[provider].load())
    except (ImportError, AttributeError) as error:
        raise config.source.error(
            f"the provider is installed but cannot be loaded ({type(error).__name__}).",
            ("models", name, "provider"),
        ) from error


def resilient_model(
    config: Config, chain: str | None = None, *, keys: KeyLookup = look_up, **overrides: Any
) -> ResilientModel:
    """The chain of the file as a `ResilientModel`.

    Args:
        config: The file.
        chain: The chain's name; the only or the default one without.
        keys: How keys are looked up.
        overrides: Further arguments of `ResilientModel`, which take precedence over the file.

    Raises:
        ConfigError: The chain cannot be built, or the file requires an audit trail and none is kept; with the line.
    """
    if keys is look_up:
        from resilient_ai.config.telemetry import check_audit  # it reads what this module builds

        check_audit(config)
    effective = config.chain(chain)
    arguments: dict[str, Any] = {
        "name": effective.name,
        **chain_policy(config, effective.name).arguments(),
        **overrides,
    }
    models = chain_models(config, effective.name, keys=keys)
    try:
        return ResilientModel(models, **arguments)
    except BaseException as error:
        for model in models:
            model.close()
        if not isinstance(error, ConfigError) or error.path is not None:
            raise
        key = error.key.split(".") if error.key else ()
        raise config.source.error(str(error), effective.place(*key), suggestion=error.suggestion) from None
