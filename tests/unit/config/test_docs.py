"""What docs/configuration.md shows is what there is."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

from resilient_ai.config import load_config
from resilient_ai.config.reference import settings_markdown

ROOT = Path(__file__).parents[3]
EXAMPLES = ROOT / "examples" / "config"
PAGE = ROOT / "docs" / "configuration.md"


def shown(marker: str) -> str:
    """What stands between two markers of the page."""
    found = re.search(
        rf"<!-- {marker} -->\n\n(.*?)\n*<!-- /{marker} -->", PAGE.read_text(encoding="utf-8"), re.DOTALL
    )
    assert found is not None
    return found[1]


@pytest.mark.parametrize(
    ("marker", "language", "name"), [("example", "toml", "resilient.toml"), ("answer", "python", "answer.py")]
)
def test_an_example_on_the_page_is_the_file_that_runs(marker: str, language: str, name: str) -> None:
    assert shown(marker) == f"```{language}\n{(EXAMPLES / name).read_text(encoding='utf-8')}```"


def test_the_tables_of_the_page_are_those_of_the_schema() -> None:
    assert shown("settings") + "\n" == settings_markdown()


@pytest.fixture
def answer() -> ModuleType:
    spec = importlib.util.spec_from_file_location("config_answer", EXAMPLES / "answer.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_example_answers_and_keeps_its_settings_when_a_reload_fails(
    answer: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "resilient.toml"
    text = (EXAMPLES / "offline.toml").read_text(encoding="utf-8")
    path.write_text(text)
    assert answer.main(str(path), "Where is my parcel?").startswith("I cannot look that up")
    answers = answer.Answers(str(path), "support")
    path.write_text(text.replace("I cannot", "We cannot"))
    assert answers.reload() is True
    assert answers.model.generate("hi").text.startswith("We cannot")
    path.write_text(text.replace("deadline", "dedline"))
    assert answers.reload() is False
    assert "Did you mean 'deadline'?" in capsys.readouterr().err
    assert answers.model.generate("hi").text.startswith("We cannot")
    assert answers.model.plan.deadline == 2.0


def test_the_offline_example_can_be_asked() -> None:
    assert load_config(EXAMPLES / "offline.toml").chains == ("support",)
