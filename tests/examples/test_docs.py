"""The documentation is in step with the code: its snippets run, its tables are the code's, its links lead somewhere."""

from __future__ import annotations

import re
import sys
import tomllib
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
    "failures.md",
    "audit.md",
    "redaction.md",
]


@pytest.mark.timeout(180)  # a page on frameworks imports them all, which takes a busy machine a minute
@pytest.mark.parametrize("page", EXECUTED)
def test_the_snippets_of_a_page_run(page: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    monkeypatch.chdir(tmp_path)  # a page may write a file
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


def test_the_promises_of_the_readme_are_kept_by_tests_that_there_are() -> None:
    rows = re.findall(
        r"^\| [^|]+\. \| [^|]+ \| (`test[^|]+) \|$", (ROOT / "README.md").read_text(), re.MULTILINE
    )
    assert len(rows) >= 6
    for row in rows:
        folder = ROOT
        for told in re.findall(r"`([^`]+)`", row):
            path = ROOT / told if "/" in told else folder / told
            assert path.exists(), told
            folder = path.parent


def test_the_readme_names_every_extra() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    install = (ROOT / "README.md").read_text().split("## Install")[1].split("\n## ")[0]
    unnamed = [name for name in project["optional-dependencies"] if not re.search(rf"\b{name}\b", install)]
    assert unnamed == []


def test_the_readme_leads_to_every_page() -> None:
    readme = (ROOT / "README.md").read_text()
    assert [page.name for page in PAGES[1:] if f"(docs/{page.name})" not in readme] == []


def test_the_picture_of_the_house_shows_every_room_and_no_other() -> None:
    """The first level as a whole; of what lies deeper, what is shown is there."""
    picture = (ROOT / "docs" / "architecture.md").read_text().split("```")[1]
    source = ROOT / "src" / "resilient_ai"
    shown: set[str] = set()
    room = ""
    for indent, name in re.findall(r"^( +)([a-z_]+(?:/|\.py)) ", picture, re.MULTILINE):
        deeper = len(indent) > 2
        assert (source / room / name if deeper else source / name).exists(), name
        if not deeper:
            room = name
            shown.add(name)
    there = {f"{path.name}/" if path.is_dir() else path.name for path in source.iterdir()}
    assert shown == there - {"__pycache__/", "py.typed"}
