"""The documentation is in step with the code: its snippets run, its tables are the code's, its links lead somewhere."""

from __future__ import annotations

import re
import sys
import types
from pathlib import Path

import pytest
from defaults_tables import filled

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
EXECUTED = [
    "policies.md",
    "streams.md",
    "output.md",
    "testing.md",
    "decorator.md",
    "drop-in.md",
    "frameworks.md",
    "privacy.md",
]


@pytest.mark.timeout(180)  # a page on frameworks imports them all, which takes a busy machine a minute
@pytest.mark.parametrize("page", EXECUTED)
def test_the_snippets_of_a_page_run(page: str, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (ROOT / "docs" / page).read_text()
    snippets = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert snippets
    module = types.ModuleType(f"snippets_of_{page.removesuffix('.md')}")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    for snippet in snippets:
        exec(compile(snippet, page, "exec"), vars(module))  # noqa: S102 - our own documentation


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_tables_of_defaults_are_the_codes(page: Path) -> None:
    """After a change of defaults: python scripts/defaults_tables.py --write."""
    assert filled(page.read_text()) == page.read_text()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_relative_link_leads_to_a_file(page: Path) -> None:
    links = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text())
    missing = [
        link
        for link in links
        if not link.startswith(("http", "mailto")) and not (page.parent / link).exists()
    ]
    assert missing == []


def test_the_snippets_of_the_readme_are_python() -> None:
    snippets = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert len(snippets) >= 3
    for snippet in snippets:
        compile(snippet, "README.md", "exec")
