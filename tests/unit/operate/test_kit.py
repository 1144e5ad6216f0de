from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from resilient_ai.cli.app import app
from resilient_ai.operate import files
from resilient_ai.operate.kit import in_step, kit, write
from resilient_ai.operate.rules import Terms

ROOT = Path(__file__).parents[3]
COMMITTED = ROOT / "operations"
PAGE = ROOT / "docs" / "operations.md"
MEND = "python -m resilient_ai.operate operations docs/operations.md"


def test_the_files_in_the_repository_are_what_is_written_now() -> None:
    wanted = kit(Terms())
    found = {
        path.relative_to(COMMITTED).as_posix(): path.read_text(encoding="utf-8")
        for path in COMMITTED.rglob("*")
        if path.is_file()
    }
    assert sorted(found) == sorted(wanted), MEND
    assert found == wanted, MEND


def test_the_page_lists_the_alerts_there_are() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert in_step(page, Terms(), runbooks="../operations/runbooks") == page, MEND


def test_the_page_counts_what_the_command_writes() -> None:
    told = f"{len(files.alerts(Terms()))} alerts, {len(kit(Terms()))} files written to operations"
    assert told in PAGE.read_text(encoding="utf-8")


def test_a_page_without_a_place_for_the_list_is_refused() -> None:
    with pytest.raises(ValueError, match="no place for the list of alerts"):
        in_step("# Operations\n", Terms(), runbooks="runbooks")


def test_another_process_writes_the_same_bytes(tmp_path: Path) -> None:
    """Nothing depends on the order of a set or on the hour."""
    write(tmp_path / "here", Terms())
    code = (
        "import sys; from pathlib import Path; from resilient_ai.operate.kit import write; "
        "from resilient_ai.operate.rules import Terms; write(Path(sys.argv[1]), Terms())"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "there")], check=True)
    for name in kit(Terms()):
        assert (tmp_path / "here" / name).read_bytes() == (tmp_path / "there" / name).read_bytes(), name


def test_the_kit_is_written_without_opentelemetry_and_without_a_yaml_package() -> None:
    code = (
        "import sys; from resilient_ai.operate.kit import kit; from resilient_ai.operate.rules import Terms; "
        "kit(Terms()); print({'opentelemetry', 'yaml', 'structlog'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "set()"


def test_the_command_writes_every_file_and_lists_them(tmp_path: Path) -> None:
    out = tmp_path / "a" / "b"
    result = CliRunner().invoke(app, ["alerts", "--out", str(out), "--slo", "0.99", "--json"])
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    assert told["slo"] == 0.99
    assert {Path(name).relative_to(out).as_posix() for name in told["files"]} == set(kit(Terms()))
    assert [alert["name"] for alert in told["alerts"]] == [alert.name for alert in files.alerts(Terms())]
    assert (out / files.RULES_FILE).read_text() == kit(Terms(slo=0.99))[files.RULES_FILE]
    assert "Objective: 99 %" in (out / files.RULES_FILE).read_text()


def test_without_the_extra_everything_but_the_dashboard_is_written_and_that_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "grafana_foundation_sdk", None)
    result = CliRunner().invoke(app, ["alerts", "-o", str(tmp_path)])
    assert result.exit_code == 0, result.output
    assert "pip install 'resilient_ai[operate]'" in result.stderr
    found = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()}
    assert found == set(kit(Terms())) - {files.DASHBOARD_FILE}


def test_the_command_leaves_other_files_of_the_folder_alone(tmp_path: Path) -> None:
    (tmp_path / "ours.yml").write_text("ours")
    assert CliRunner().invoke(app, ["alerts", "-o", str(tmp_path)]).exit_code == 0
    assert (tmp_path / "ours.yml").read_text() == "ours"


def test_an_objective_that_cannot_be_watched_ends_with_2(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["alerts", "-o", str(tmp_path / "out"), "--slo", "0.5", "--json"])
    assert result.exit_code == 2
    assert json.loads(result.stdout)["error"]["key"] == "slo"
    assert not (tmp_path / "out").exists()
