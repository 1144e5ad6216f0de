"""`resilient-ai audit verify`, and the trail that a question from a terminal leaves."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

from resilient_ai import ResilientModel
from resilient_ai.models import canned
from resilient_ai.privacy import Secret
from resilient_ai.telemetry import Audit, observe

Run = Callable[..., Result]
KEY = "k" * 32


@pytest.fixture
def trail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A trail of three calls, sealed with the key that stands in AUDIT_KEY."""
    monkeypatch.setenv("AUDIT_KEY", KEY)
    path = tmp_path / "audit.jsonl"
    with observe(logs=None, spans=False, metrics=False, audit=Audit(path, Secret(KEY))):
        for _ in range(3):
            ResilientModel([canned("x")]).generate("y")
    return path


def test_a_whole_trail_is_told_with_the_seal_to_note(run: Run, trail: Path) -> None:
    result = run("audit", "verify", trail, "--key", "env:AUDIT_KEY")
    assert (result.exit_code, result.stdout) == (0, "✓ 5 records, 3 of them calls: whole.\n")
    number, seal = result.stderr.removeprefix("last: ").split()
    assert number == "5"
    assert run("audit", "verify", trail, "--key", "env:AUDIT_KEY", "--noted", seal).exit_code == 0


def test_a_changed_record_ends_with_1_and_names_its_line(run: Run, trail: Path) -> None:
    trail.write_text(trail.read_text().replace('"call":', '"call":1', 1))
    result = run("audit", "verify", trail, "--key", "env:AUDIT_KEY")
    assert result.exit_code == 1
    assert f"{trail}:2: record 2 is not as it was written" in result.stdout
    result = run("audit", "verify", trail, "--key", "env:AUDIT_KEY", "--json")
    document = json.loads(result.stdout)
    assert (result.exit_code, document["whole"], document["broken"]["line"]) == (1, False, 2)


def test_a_missing_end_ends_with_1_for_who_noted_a_seal(run: Run, trail: Path) -> None:
    whole = json.loads(run("audit", "verify", trail, "--key", "env:AUDIT_KEY", "--json").stdout)
    trail.write_text("".join(trail.read_text().splitlines(keepends=True)[:-1]))
    cut = run("audit", "verify", trail, "--key", "env:AUDIT_KEY")
    assert cut.exit_code == 0
    assert "no end was written by process" in cut.stdout
    noted = run("audit", "verify", trail, "--key", "env:AUDIT_KEY", "--noted", whole["last"]["seal"])
    assert noted.exit_code == 1
    assert "the end of the trail is missing" in noted.stdout


def test_the_key_can_be_the_one_a_configuration_names(run: Run, trail: Path, tmp_path: Path) -> None:
    config = tmp_path / "resilient.toml"
    config.write_text('[audit]\nfile = "audit.jsonl"\nkey = "env:AUDIT_KEY"\n')
    assert run("audit", "verify", trail, "-c", config).exit_code == 0
    assert run("audit", "verify", trail).exit_code == 1


@pytest.mark.parametrize(
    ("key", "said"),
    [("env:NO_SUCH_KEY", "NO_SUCH_KEY is not set"), (KEY, "write where it is")],
)
def test_a_key_that_is_not_there_or_stands_on_the_command_line_is_refused(
    key: str, said: str, run: Run, trail: Path
) -> None:
    result = run("audit", "verify", trail, "--key", key)
    assert result.exit_code == 2
    assert said in result.stderr
    assert KEY not in result.stderr


def test_a_file_that_is_not_there_is_said(run: Run, tmp_path: Path) -> None:
    result = run("audit", "verify", tmp_path / "none.jsonl")
    assert result.exit_code == 1
    assert "none.jsonl" in result.stderr


def test_a_question_from_a_terminal_is_in_the_trail_the_file_demands(run: Run, config: Path) -> None:
    config.write_text(config.read_text() + '[audit]\nfile = "audit.jsonl"\nrequired = true\n')
    assert run("ask", "hi", "-c", config).exit_code == 0
    assert run("check", "-c", config).exit_code == 0
    result = run("audit", "verify", config.with_name("audit.jsonl"))
    assert result.stdout == "✓ 4 records, 1 of them calls: whole.\n"
