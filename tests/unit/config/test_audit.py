"""`[audit]`: the trail a file asks for, and the calls that may not be made without it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from resilient_ai import ConfigError, ResilientModel, resilient
from resilient_ai.config import load_config, observe_config
from resilient_ai.telemetry import verify_audit

CHAIN = '[models.sorry]\nprovider = "canned"\ntext = "Later."\n[chains.support]\nmodels = ["sorry"]\n'


def written(folder: Path, *audit: str) -> Path:
    path = folder / "resilient.toml"
    path.write_text("\n".join(["[telemetry]", 'logs = "off"', "[audit]", *audit, CHAIN]))
    return path


def test_the_file_begins_a_trail_next_to_it_with_its_key_and_its_policy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUDIT_KEY", "k" * 32)
    path = written(tmp_path, 'file = "audit.jsonl"', 'key = "env:AUDIT_KEY"', 'fsync = "always"')
    with observe_config(load_config(path)):
        ResilientModel.from_config(path).generate("x")
    found = [json.loads(line) for line in (tmp_path / "audit.jsonl").read_text().splitlines()]
    assert [one["record"] for one in found] == ["opened", "config", "config", "call", "closed"]
    assert found[1]["source"] == "resilient.toml"
    assert found[1]["policy"] == load_config(path).digest
    assert verify_audit(tmp_path / "audit.jsonl", key="k" * 32).whole


def test_a_reload_is_recorded(tmp_path: Path) -> None:
    path = written(tmp_path, 'file = "audit.jsonl"')
    with observe_config(load_config(path)):
        model = ResilientModel.from_config(path)
        before = model.generate("x").outcome
        path.write_text(path.read_text() + 'deadline = "3s"\n')
        assert model.reload()
        after = model.generate("x").outcome
    assert before is not None
    assert after is not None
    found = [json.loads(line) for line in (tmp_path / "audit.jsonl").read_text().splitlines()]
    assert [one["record"] for one in found][2:] == ["config", "call", "config", "call", "closed"]
    assert (found[3]["policy"], found[5]["policy"]) == (before.policy, after.policy)
    assert found[2]["policy"] != found[4]["policy"]


@pytest.mark.parametrize("door", ["a chain", "a decorated function"])
def test_no_chain_is_built_without_the_trail_the_file_requires(door: str, tmp_path: Path) -> None:
    path = written(tmp_path, 'file = "audit.jsonl"', "required = true")

    def build() -> object:
        if door == "a chain":
            return ResilientModel.from_config(path).generate("x").text

        @resilient(chain="support", config=str(path))
        def answer(text: str) -> str:
            return text

        return answer("Later.")

    with pytest.raises(ConfigError, match=r"resilient\.toml:5: audit\.required: .*observe_config"):
        build()
    with observe_config(load_config(path)):
        assert build() == "Later."
    assert verify_audit(tmp_path / "audit.jsonl").calls == 1


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (['key = "env:AUDIT_KEY"'], "file"),
        (['file = "a"', 'key = "literal-key-literal-key"'], "write where it is"),
        (['file = "a"', 'key = "env:SHORT"'], "16 at least"),
        (['file = "a"', 'fsync = "often"'], "fsync"),
        (['file = "notes.txt"'], "no audit trail"),
    ],
)
def test_what_is_wrong_with_the_table_is_said_with_its_line(
    lines: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUDIT_KEY", "k" * 32)
    monkeypatch.setenv("SHORT", "short-key")
    (tmp_path / "notes.txt").write_text("Buy milk.\n")
    with pytest.raises(ConfigError, match=r"resilient\.toml:\d+: audit") as caught:
        observe_config(load_config(written(tmp_path, *lines)))
    assert said in str(caught.value)
    assert "literal-key" not in str(caught.value)
