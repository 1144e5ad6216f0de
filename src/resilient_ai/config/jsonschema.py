"""The JSON Schema of the configuration file, for editors and for checks outside Python.

It says what a table may hold; that names exist and that limits fit each other only the loader can say.
"""

from __future__ import annotations

import inspect
import json
from dataclasses import MISSING, fields
from typing import Any, Final, cast

SCHEMA_ID: Final = "urn:resilient-ai:config:1"
DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"


def json_schema() -> dict[str, Any]:
    """The schema, in the 2020-12 dialect, with the defaults of the policies."""
    from resilient_ai.config.schema import FILE

    schema = FILE.json_schema()
    _tidy(schema)
    definitions = cast("dict[str, dict[str, Any]]", schema["$defs"])
    for name, options in _options().items():
        for one in fields(options):
            found = definitions[name]["properties"].get(one.name)
            if found is not None and one.default is not MISSING and one.default is not None:
                found["default"] = one.default
    for name, call in _calls().items():
        for key, argument in inspect.signature(call).parameters.items():
            found = definitions[name]["properties"].get(key)
            if found is not None and isinstance(argument.default, bool | int | float | str):
                found["default"] = argument.default
    definitions["PrivacyTable"]["properties"]["redact_logging"]["default"] = False
    schema["properties"]["$schema"]["description"] = "Address of this schema, for editors."
    definitions["ModelTable"]["allOf"] = _provider_rules(set(definitions["ModelTable"]["properties"]))
    return {"$schema": DIALECT, "$id": SCHEMA_ID, "title": "resilient_ai configuration", **schema}


def json_schema_text() -> str:
    """The schema as it is published."""
    return json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n"


def _options() -> dict[str, Any]:
    """The options each table stands for."""
    from resilient_ai.core.model import Price
    from resilient_ai.policies.breaker import Breaker
    from resilient_ai.policies.budget import RetryBudget
    from resilient_ai.policies.hedge import Hedge
    from resilient_ai.policies.limits import Limits
    from resilient_ai.policies.retry import Retry
    from resilient_ai.policies.spending import CostCap
    from resilient_ai.policies.throttle import Throttle
    from resilient_ai.policies.timeouts import Timeouts

    return {
        "BreakerTable": Breaker,
        "BudgetTable": RetryBudget,
        "HedgeTable": Hedge,
        "LimitsTable": Limits,
        "MaxCostTable": CostCap,
        "PriceTable": Price,
        "RetryTable": Retry,
        "ThrottleTable": Throttle,
        "TimeoutsTable": Timeouts,
    }


def _calls() -> dict[str, Any]:
    """What takes each table's settings as arguments."""
    from resilient_ai.model import ResilientModel
    from resilient_ai.telemetry.setup import observe

    return {"ChainTable": ResilientModel.__init__, "TelemetryTable": observe}


def _provider_rules(keys: set[str]) -> list[dict[str, Any]]:
    """What a model of each of the library's own providers must and must not hold."""
    from resilient_ai.config.providers import PROVIDERS

    rules: list[dict[str, Any]] = []
    for provider, takes in PROVIDERS.items():
        forbidden = sorted(keys - {"provider", *takes.required, *takes.optional})
        rules.append(
            {
                "if": {"properties": {"provider": {"const": provider}}, "required": ["provider"]},
                "then": {"required": list(takes.required), "properties": dict.fromkeys(forbidden, False)},
            }
        )
    return rules


def _tidy(node: object) -> None:
    """Drops the titles pydantic makes from names, which editors would show instead, joins broken lines, and closes tables of names."""
    if isinstance(node, dict):
        table = cast("dict[str, object]", node)
        if isinstance(table.get("title"), str):
            del table["title"]
        description = table.get("description")
        if isinstance(description, str):
            table["description"] = " ".join(description.split())
        if "patternProperties" in table:
            # pydantic says what a right name holds, not that a wrong one is forbidden.
            table["additionalProperties"] = False
        for child in table.values():
            _tidy(child)
    elif isinstance(node, list):
        for child in cast("list[object]", node):
            _tidy(child)
