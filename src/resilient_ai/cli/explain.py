"""`resilient-ai explain`: the policy as it takes effect, and the most that one call may cost under it."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from rich.text import Text

from resilient_ai.cli.terminal import ChainOption, ConfigOption, JsonOption, out, print_json, put, reporting

if TYPE_CHECKING:
    from resilient_ai.engine.plan import Plan, WorstCase

_IN_CODE_ONLY = frozenset({"wait", "stop", "retry", "listeners", "storage"})


def explain(config: ConfigOption = None, chain: ChainOption = None, *, as_json: JsonOption = False) -> None:
    """Show what a chain's policy amounts to: who is asked, when, how often, and the worst case.

    No key is needed and nothing is sent. Without --chain, every chain is shown.
    """
    from resilient_ai.config.build import resilient_model
    from resilient_ai.config.load import load_config
    from resilient_ai.config.secrets import stand_in

    with reporting(as_json=as_json):
        loaded = load_config(config)
        names = loaded.chains if chain is None and loaded.chains else (loaded.chain(chain).name,)
        documents: list[dict[str, Any]] = []
        console = out()
        for name in names:
            with resilient_model(loaded, name, keys=stand_in) as model:
                if as_json:
                    documents.append(_document(model.plan))
                    continue
                title, *lines = model.explain().splitlines()
                console.print(Text(title, "bold"))
                for line in lines:
                    body = line.lstrip()
                    style = "bold yellow" if body.startswith("worst case") else ""
                    put(console, Text(" " * (len(line) - len(body))), Text(body, style))
                if name != names[-1]:
                    console.print()
        if as_json:
            print_json({"path": str(loaded.path), "chains": documents})


def _document(plan: Plan) -> dict[str, Any]:
    return {
        "chain": plan.name,
        "policy": plan.digest,
        "models": [
            {
                "provider": hop.model.provider,
                "model": hop.model.name,
                "local": hop.model.traits.local,
                "context_tokens": hop.model.traits.context_tokens,
                "timeouts": asdict(hop.timeouts),
            }
            for hop in plan.hops
        ],
        "deadline": plan.deadline,
        "reserve": plan.reserve,
        "retry": _options(asdict(plan.retry)),
        "breaker": _options(asdict(plan.breaker)),
        "budget": asdict(plan.budget),
        "limits": asdict(plan.limits),
        "hedge": None if plan.hedge is None else asdict(plan.hedge),
        "throttle": None if plan.throttle is None else asdict(plan.throttle),
        "on": {kind.value: action for kind, action in plan.on.items()},
        "on_interrupt": plan.on_interrupt,
        "when_all_open": plan.when_all_open,
        "worst_case": _worst(plan.worst_case()),
        "worst_case_with_output_checks": _worst(plan.worst_case(checked=True)),
    }


def _options(values: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if key not in _IN_CODE_ONLY}


def _worst(worst: WorstCase) -> dict[str, Any]:
    # A file cannot name a strategy of tenacity's, so the sum is finite.
    return {
        "requests": worst.requests,
        "seconds": worst.seconds,
        "seconds_without_deadline": worst.unbounded_seconds,
    }
