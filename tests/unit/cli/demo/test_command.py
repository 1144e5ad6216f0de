from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from typer.testing import Result

if TYPE_CHECKING:
    import pytest

Run = Callable[..., Result]


def test_without_the_on_device_extra_one_sentence_says_how_to_get_it(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "xllamacpp", None)
    result = run("demo", "--out", tmp_path)
    assert result.exit_code == 2, result.output
    assert result.stderr.count("\n") == 1
    assert 'pip install "resilient_ai[on-device]"' in result.stderr


def test_a_provider_without_a_key_is_a_usage_error(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    result = run("demo", "--provider", "openai:gpt-5.2", "--out", tmp_path)
    assert result.exit_code == 2
    assert "OPENAI_API_KEY" in result.stderr


def test_a_folder_that_cannot_be_written_is_told(run: Run, tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file")
    result = run("demo", "--out", tmp_path / "taken")
    assert result.exit_code == 1
    assert "taken" in result.stderr


def test_the_default_folder_keeps_itself_out_of_commits(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "xllamacpp", None)
    (tmp_path / "resilient-ai-demo").mkdir()
    (tmp_path / "resilient-ai-demo" / "log.jsonl").write_text("of an earlier run")
    run("demo")
    assert [path.name for path in (tmp_path / "resilient-ai-demo").iterdir()] == [".gitignore"]
    assert (tmp_path / "resilient-ai-demo" / ".gitignore").read_text() == "*\n"
