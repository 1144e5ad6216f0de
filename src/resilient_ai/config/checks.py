"""What a schema cannot say: names that must exist, and limits that must fit the limits around them.

The engine checks its policies against each other once more when a chain is built; here the same rules are asked of the file, so
that the answer has a line in it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, cast, final

from resilient_ai.config.chains import DEFAULT
from resilient_ai.config.problems import nearest
from resilient_ai.config.providers import ENTRY_POINTS, PROVIDERS, provider_names
from resilient_ai.config.secrets import check_reference
from resilient_ai.errors import ConfigError
from resilient_ai.policies.breaker import Breaker
from resilient_ai.policies.retry import Retry
from resilient_ai.policies.timeouts import DEADLINE_SECONDS, Timeouts
from resilient_ai.privacy.key_names import Secrecy, secrecy

if TYPE_CHECKING:
    from resilient_ai.config.chains import EffectiveChain
    from resilient_ai.config.file import Config
    from resilient_ai.config.toml_lines import KeyPath

_PHASES: Final = ("connect", "first_token", "idle")


@final
@dataclass(frozen=True, slots=True)
class _Clocks:
    """Timeouts written in one place: a chain's, or those of one of its models."""

    written: Mapping[str, float]
    places: Mapping[str, KeyPath]
    attempt: float

    def place(self, name: str) -> KeyPath:
        return self.places[name]


def check_config(config: Config) -> list[ConfigError]:
    """Everything that does not fit, in the order of its lines."""
    problems = [problem for name in config.models for problem in _model_problems(config, name)]
    lent = {DEFAULT} | {
        str(table["extends"]) for table in config.tables.get("chains", {}).values() if "extends" in table
    }
    for name in config.tables.get("chains", {}):
        try:
            chain = config.chain(name)
        except ConfigError as problem:
            problems.append(problem)
            continue
        if "models" not in chain.settings and name not in lent:
            problems.append(config.source.error("`models` is missing.", ("chains", name)))
        problems += _member_problems(config, chain)
        problems += _time_problems(config, chain)
        problems += _policy_problems(config, chain)
    # A setting taken over by several chains is wrong once, not once for each of them.
    unique = {str(problem): problem for problem in problems}
    return sorted(unique.values(), key=lambda problem: problem.line or 0)


def _model_problems(config: Config, name: str) -> Iterator[ConfigError]:
    table = cast("Mapping[str, object]", config.models[name])
    provider = str(table["provider"])
    at = ("models", name)
    error = config.source.error
    takes = PROVIDERS.get(provider)
    if takes is None:
        if provider not in provider_names():
            known = ", ".join(provider_names())
            yield error(
                f"there is no such provider; there are: {known}, and what is installed as an entry point of the group "
                f"{ENTRY_POINTS}.",
                (*at, "provider"),
                suggestion=nearest(provider, provider_names()),
            )
        yield from _literal_keys(config, table.get("options", {}), (*at, "options"))
        return
    for key in takes.required:
        if key not in table:
            yield error(f"`{key}` is missing; a model of provider {provider} needs it.", at)
    for key in table:
        if key not in {"provider", *takes.required, *takes.optional}:
            yield error(f"a model of provider {provider} does not take this.", (*at, key))


def _literal_keys(config: Config, options: object, place: KeyPath) -> Iterator[ConfigError]:
    """What is named like a key among the options of another package's provider must be a reference, as `api_key` must."""
    if not isinstance(options, dict):
        return
    for name, value in cast("dict[str, object]", options).items():
        if isinstance(value, str) and secrecy(name) is Secrecy.CERTAIN:
            try:
                check_reference(value)
            except ValueError as error:
                yield config.source.error(f"{error}.", (*place, name))
        yield from _literal_keys(config, value, (*place, name))


def _member_problems(config: Config, chain: EffectiveChain) -> Iterator[ConfigError]:
    members = chain.settings.get("models", [])
    place = chain.place("models")
    for index, name in enumerate(members):
        if name not in config.models:
            known = f"the models are: {', '.join(config.models)}." if config.models else "the file has none."
            yield config.source.error(
                f"there is no such model; {known}", (*place, index), suggestion=nearest(name, config.models)
            )
    for name, count in Counter(members).items():
        if count > 1:
            again = len(members) - 1 - members[::-1].index(name)
            yield config.source.error(
                "the model stands in the chain twice; asking it again is what retry is for.", (*place, again)
            )


def _time_problems(config: Config, chain: EffectiveChain) -> Iterator[ConfigError]:
    """Times that do not fit the times around them. What nobody wrote is capped silently; what was written must fit."""
    error = config.source.error
    settings = chain.settings
    deadline = settings.get("deadline", DEADLINE_SECONDS)
    line = config.source.line(chain.place("deadline")) if chain.has("deadline") else None
    around = f"the deadline of {deadline:g} s ({'the default' if line is None else f'line {line}'})"

    clocks = _clocks(config, chain, deadline)
    for clock in clocks:
        attempt = clock.written.get("attempt", 0.0)
        if attempt > deadline:
            yield error(
                f"the attempt timeout of {attempt:g} s is longer than {around}.", clock.place("attempt")
            )
            continue
        for phase in _PHASES:
            limit = clock.written.get(phase, 0.0)
            if limit > clock.attempt:
                yield error(
                    f"{limit:g} s is longer than the whole attempt may take, {clock.attempt:g} s.",
                    clock.place(phase),
                )

    behind = max(0, len(settings.get("models", [])) - 1)
    reserve = settings.get("reserve", 0.0)
    if behind and reserve * behind >= deadline:
        yield error(
            f"{reserve:g} s for each of the models behind the first is {behind} x {reserve:g} s = {reserve * behind:g} s, "
            f"which leaves it nothing of {around}.",
            chain.place("reserve"),
        )

    breaker = settings.get("breaker", {})
    window = breaker.get("window", Breaker().window)
    longest = max(clocks, key=lambda clock: clock.attempt)
    if breaker.get("enabled", True) and window < 2 * longest.attempt:
        wrote_window = chain.has("breaker", "window") or "attempt" not in longest.written
        yield error(
            f"the breaker's window of {window:g} s is shorter than twice the longest attempt, "
            f"2 x {longest.attempt:g} s = {2 * longest.attempt:g} s.",
            chain.place("breaker", "window") if wrote_window else longest.place("attempt"),
        )


def _clocks(config: Config, chain: EffectiveChain, deadline: float) -> list[_Clocks]:
    """The chain's timeouts, and those of each of its models that has its own, with how long an attempt may take there."""
    shared = cast("Mapping[str, float]", chain.settings.get("timeouts", {}))
    usual = min(shared.get("attempt", Timeouts().attempt), deadline)
    names = ("attempt", *_PHASES)
    members = [name for name in chain.settings.get("models", []) if name in config.models]
    clocks = [_Clocks(shared, {name: chain.place("timeouts", name) for name in names}, usual)]
    for member in members:
        own = cast("Mapping[str, float]", config.models[member].get("timeouts", {}))
        if own:
            places = {name: ("models", member, "timeouts", name) for name in names}
            clocks.append(_Clocks(own, places, min(own.get("attempt", usual), deadline)))
    if members and all("attempt" in config.models[member].get("timeouts", {}) for member in members):
        # No model is left that the chain's own attempt timeout holds for.
        return clocks[1:]
    return clocks


def _policy_problems(config: Config, chain: EffectiveChain) -> Iterator[ConfigError]:
    """Settings of one policy that do not fit each other."""
    breaker, retry = chain.settings.get("breaker", {}), chain.settings.get("retry", {})
    pairs = (
        (
            "breaker",
            "open_for",
            "open_for_max",
            breaker.get("open_for"),
            breaker.get("open_for_max"),
            Breaker(),
        ),
        ("retry", "base", "cap", retry.get("base"), retry.get("cap"), Retry()),
    )
    for policy, low, high, wrote_low, wrote_high, usual in pairs:
        least = getattr(usual, low) if wrote_low is None else wrote_low
        most = getattr(usual, high) if wrote_high is None else wrote_high
        if least > most:
            place = chain.place(policy, high if wrote_low is None else low)
            yield config.source.error(
                f"{low} is {least:g} s, longer than {high}, which is {most:g} s.", place
            )
