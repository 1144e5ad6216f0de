"""A chain from a file follows the file, as a whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from resilient_ai import ConfigError, ResilientModel
from resilient_ai.models import canned

FILE = """
version = 1
[models.remote]
provider = "openai"
model = "gpt-x"
base_url = "http://127.0.0.1:1/v1"
[models.last]
provider = "canned"
text = "sorry"
[chains.support]
models = ["remote", "last"]
deadline = "{deadline}"
limits = {{ concurrency = 3 }}
"""


def test_a_changed_file_changes_the_policy_and_keeps_what_is_known(tmp_path: Path) -> None:
    path = tmp_path / "resilient.toml"
    path.write_text(FILE.format(deadline="20s"))
    model = ResilientModel.from_config(path, chain="support")
    model.plan.hops[0].state.breaker.force_open()
    places = model._places
    assert model.reload() is False
    path.write_text(FILE.format(deadline="9s"))
    assert model.reload() is True
    assert model.plan.deadline == 9
    assert model.health().models[0].breaker == "forced-open"
    assert model._places is places
    assert model.generate("q").text == "sorry"


def test_a_broken_file_changes_nothing_and_says_what_is_wrong(tmp_path: Path) -> None:
    path = tmp_path / "resilient.toml"
    path.write_text(FILE.format(deadline="20s"))
    model = ResilientModel.from_config(path, chain="support")
    before = model.plan
    path.write_text(FILE.format(deadline="20s").replace("deadline", "dedline"))
    with pytest.raises(ConfigError, match="dedline") as caught:
        model.reload()
    assert (caught.value.suggestion, caught.value.line) == ("deadline", 12)
    assert model.plan is before
    assert model.generate("q").text == "sorry"


def test_a_model_without_a_file_has_nothing_to_reload() -> None:
    with pytest.raises(ConfigError, match="from_config"):
        ResilientModel([canned("x")]).reload()
