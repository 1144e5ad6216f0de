"""The configuration file: one schema, written in TOML, YAML or JSON.

`load` finds and checks a file, `build` makes models and policies from it, `source` reads it again while it is in use, and
`jsonschema` publishes what may stand in it. Every error names the file, the line, the key, and the nearest right name.

Every name here is loaded at its first use.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from resilient_ai.config.build import (
        ChainPolicy,
        build_model,
        chain_models,
        chain_policy,
        resilient_model,
    )
    from resilient_ai.config.chains import EffectiveChain
    from resilient_ai.config.digest import policy_digest
    from resilient_ai.config.file import Config
    from resilient_ai.config.jsonschema import json_schema
    from resilient_ai.config.load import find_config, load_config
    from resilient_ai.config.source import ConfigSource, Reloaded
    from resilient_ai.config.telemetry import observe_config

__all__ = [
    "ChainPolicy",
    "Config",
    "ConfigSource",
    "EffectiveChain",
    "Reloaded",
    "build_model",
    "chain_models",
    "chain_policy",
    "find_config",
    "json_schema",
    "load_config",
    "observe_config",
    "policy_digest",
    "resilient_model",
]

_HOMES = {
    "ChainPolicy": "build",
    "Config": "file",
    "ConfigSource": "source",
    "EffectiveChain": "chains",
    "Reloaded": "source",
    "build_model": "build",
    "chain_models": "build",
    "chain_policy": "build",
    "find_config": "load",
    "json_schema": "jsonschema",
    "load_config": "load",
    "observe_config": "telemetry",
    "policy_digest": "digest",
    "resilient_model": "build",
}


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(import_module(f"{__name__}.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
