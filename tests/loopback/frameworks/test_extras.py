"""A framework that is not installed is one sentence with the command to run, and costs nothing until it is asked for."""

from __future__ import annotations

import subprocess
import sys

import pytest


def run(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("module", "library", "extra"),
    [
        ("langchain", "langchain_core", "langchain"),
        ("pydantic_ai", "pydantic_ai", "pydantic-ai"),
        ("llama_index", "llama_index", "llama-index"),
    ],
)
def test_a_missing_framework_is_told_with_the_command_that_installs_it(
    module: str, library: str, extra: str
) -> None:
    tried = run(f"import sys; sys.modules[{library!r}] = None; import resilient_ai.frameworks.{module}")
    last = tried.stderr.strip().splitlines()[-1]
    assert last.startswith("ModuleNotFoundError: ")
    assert last.endswith(f"is not installed: pip install 'resilient_ai[{extra}]'")


def test_the_package_itself_loads_no_framework() -> None:
    tried = run(
        "import resilient_ai.frameworks, sys;"
        "print(sorted({'langchain_core', 'pydantic_ai', 'llama_index'} & set(sys.modules)))"
    )
    assert tried.stdout.strip() == "[]"
