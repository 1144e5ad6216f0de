"""Every example runs, without a key and off the network, and prints what its docstring says."""

from __future__ import annotations

import ast
import importlib.util
import runpy
import textwrap
from pathlib import Path

import pytest

from resilient_ai.testing import block_real_calls

EXAMPLES = Path(__file__).parents[2] / "examples"
NEEDS = {
    "fastapi_service.py": "fastapi",
    "instructor_extract.py": "instructor",
    "langchain_chat.py": "langchain_core",
    "llama_index_chat.py": "llama_index",
    "openai_agents.py": "agents",
    "pydantic_ai_agent.py": "pydantic_ai",
    "quickstart.py": "openai",
    "wrap_existing_client.py": "openai",
}
"""What an example shows beside this library."""


def told(example: Path) -> str:
    """The block under `Prints:` in the docstring."""
    docstring = ast.get_docstring(ast.parse(example.read_text())) or ""
    _, _, block = docstring.partition("Prints:\n")
    return textwrap.dedent(block).strip()


@pytest.mark.timeout(
    180
)  # a framework is imported as part of its example, which takes a busy machine half a minute
@pytest.mark.parametrize("example", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.name)
def test_an_example_prints_what_it_says(example: Path, capsys: pytest.CaptureFixture[str]) -> None:
    needed = NEEDS.get(example.name)
    if needed is not None and importlib.util.find_spec(needed) is None:
        pytest.skip(f"{example.name} was NOT run: {needed} is not installed here")
    expected = told(example)
    assert expected, "an example says under `Prints:` in its docstring what it prints"
    with block_real_calls():
        runpy.run_path(str(example), run_name="__main__")
    assert capsys.readouterr().out.strip() == expected


def test_there_are_examples() -> None:
    assert len(list(EXAMPLES.glob("*.py"))) >= 10
