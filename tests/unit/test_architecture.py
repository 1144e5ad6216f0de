"""The rules of the house, kept by looking at the code itself."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src" / "resilient_ai"
ROOT = SOURCE.parents[1]

LAYERS: list[set[str]] = [
    {"core", "messages", "errors"},
    {"policies"},
    {"state"},
    {"engine"},
    {"runtime"},
    {"privacy"},
    {"models", "telemetry", "testing"},
    {"history", "health", "output", "asking", "judging", "options"},
    {"model", "decorator", "adopt"},
    {"frameworks"},
    {"config", "operate"},
    {"cli"},
]
RANK = {name: rank for rank, layer in enumerate(LAYERS) for name in layer}

STANDARD_ONLY = {"core", "messages", "errors", "policies", "state", "engine", "runtime"}
HOME_OF = {
    "tenacity": {"policies/retry.py"},
    "pybreaker": {"policies/breaker/mirror.py", "policies/breaker/options.py"},
    "structlog": {"telemetry"},
    "opentelemetry": {"telemetry"},
    "httpx": {"models/http"},
    "httpx2": {"models/http"},
    "httpcore": {"models/http"},
    "httpcore2": {"models/http"},
    "typer": {"cli"},
    "rich": {"cli"},
    "langchain_core": {"frameworks/langchain"},
    "pydantic_ai": {"frameworks/pydantic_ai"},
    "llama_index": {"frameworks/llama_index"},
}


def modules() -> Iterator[tuple[str, ast.Module]]:
    for path in sorted(SOURCE.rglob("*.py")):
        yield path.relative_to(SOURCE).as_posix(), ast.parse(path.read_text())


def imports(tree: ast.Module, *, at_run_time: bool = False) -> Iterator[str]:
    skipped: set[int] = set()
    if at_run_time:
        for node in ast.walk(tree):
            if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
                skipped |= {id(inner) for statement in node.body for inner in ast.walk(statement)}
    for node in ast.walk(tree):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module


def layer_of(name: str) -> str:
    return name.removesuffix(".py").split("/")[0]


def test_imports_run_downwards_only() -> None:
    upward = [
        f"{name} imports {target}"
        for name, tree in modules()
        if layer_of(name) in RANK
        for target in imports(tree, at_run_time=True)
        if target.startswith("resilient_ai.")
        and RANK.get(target.split(".")[1], 0) > RANK[layer_of(name)]
        and not _is_a_late_door(name, target)
    ]
    assert upward == []


def _is_a_late_door(name: str, target: str) -> bool:
    """The facades load the configuration reader only when a user names a chain of it: a door, not a dependency."""
    return name in ("model.py", "adopt/policy.py", "decorator/settings.py") and target.startswith(
        "resilient_ai.config."
    )


def test_every_module_belongs_to_a_layer() -> None:
    homeless = {layer_of(name) for name, _ in modules()} - set(RANK) - {"__init__"}
    assert homeless == set()


def test_the_decisions_import_nothing_but_the_standard_library() -> None:
    foreign = [
        f"{name} imports {target}"
        for name, tree in modules()
        if layer_of(name) in STANDARD_ONLY
        for target in imports(tree)
        if target.split(".")[0] not in sys.stdlib_module_names
        and not target.startswith("resilient_ai")
        and not any(name.startswith(home) for home in HOME_OF.get(target.split(".")[0], ()))
    ]
    assert foreign == []


def test_each_library_is_known_in_one_place_only() -> None:
    strays = [
        f"{name} imports {target}"
        for name, tree in modules()
        for target in imports(tree)
        if target.split(".")[0] in HOME_OF
        and not any(name.startswith(home) for home in HOME_OF[target.split(".")[0]])
    ]
    assert strays == []


def test_no_module_holds_more_than_one_concept_can_need() -> None:
    long = {
        path.relative_to(SOURCE).as_posix(): lines
        for path in SOURCE.rglob("*.py")
        if (lines := len(path.read_text().splitlines())) > 600
    }
    assert long == {}, "split them: past 500 lines there is a second concept"


def test_importing_the_package_loads_no_heavy_library() -> None:
    code = "import resilient_ai, sys, json; print(json.dumps(sorted(sys.modules)))"
    loaded = json.loads(subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout)
    heavy = {
        "httpx",
        "httpx2",
        "httpcore",
        "pydantic",
        "opentelemetry",
        "structlog",
        "openai",
        "anthropic",
        "tenacity",
        "pybreaker",
    }
    assert heavy.isdisjoint(loaded)


def test_building_a_chain_of_functions_loads_no_http_and_no_pydantic() -> None:
    code = (
        "import resilient_ai, sys, json; m = resilient_ai.ResilientModel([lambda text: text]); m.generate('x');"
        "print(json.dumps(sorted(sys.modules)))"
    )
    loaded = json.loads(subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout)
    assert {"httpx", "httpcore", "pydantic", "opentelemetry", "structlog", "tenacity"}.isdisjoint(loaded)


@pytest.mark.parametrize(
    "line",
    [
        "import time\ntime.time()",
        "import time\ntime.sleep(1)",
        "from time import monotonic\nmonotonic()",
        "import random\nrandom.random()",
        "import asyncio\nasyncio.sleep(1)",
        "import datetime\ndatetime.datetime.now(None)",
    ],
)
def test_the_lint_rule_forbids_reading_time_and_chance(line: str) -> None:
    """The clock rule is a lint rule; here it is shown to bite."""
    result = subprocess.run(
        [
            sys.executable,
            "-m",
            "ruff",
            "check",
            "--select",
            "TID251",
            "--stdin-filename",
            "src/resilient_ai/x.py",
            "-",
        ],
        input=line.encode(),
        capture_output=True,
        cwd=ROOT,
        check=False,
    )
    assert b"TID251" in result.stdout


def test_the_lint_rule_holds_everywhere_but_in_the_clock() -> None:
    result = subprocess.run(
        [sys.executable, "-m", "ruff", "check", "--select", "TID251", "src/resilient_ai"],
        capture_output=True,
        cwd=ROOT,
        check=False,
    )
    assert result.returncode == 0, result.stdout.decode()
