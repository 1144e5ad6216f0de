from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeAlias

import pytest
from typer.testing import CliRunner, Result

from resilient_ai.cli.app import app

Run: TypeAlias = Callable[..., Result]
PLANTED = "sk-planted-7c1f0e9d2b4a6c8e0f1a3b5c"

PROVIDER = f"""
from resilient_ai.models import FunctionModel

def make(name, api_key=None, timeouts=None):
    def well(text):
        return f"{{name}} says: {{text}}"
    def fails(text):
        raise ConnectionResetError("{PLANTED}")
    def breaks(text):
        raise RuntimeError("{PLANTED}")
    def interrupts(text):
        raise KeyboardInterrupt
    if name == "refuses":
        raise RuntimeError("{PLANTED}")
    return FunctionModel({{"fails": fails, "breaks": breaks, "interrupts": interrupts}}.get(name, well), name=name)
"""

FILE = """\
[models.good]
provider = "acme"
model = "good"
[models.bad]
provider = "acme"
model = "fails"
[models.remote]
provider = "openai"
model = "gpt-5.2"
api_key = "env:PLANTED_KEY"
[chains.default]
models = ["good"]
deadline = "10s"
[chains.fallback]
models = ["bad", "good"]
retry = { attempts = 1 }
[chains.broken]
models = ["bad"]
retry = { attempts = 1 }
[chains.hopeless]
models = ["bad", "remote"]
retry = { attempts = 1 }
"""


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A configuration file, and an installed package with the provider `acme` it asks."""
    site = tmp_path / "site"
    info = site / "acme_provider-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-provider\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[resilient_ai.models]\nacme = acme_provider:make\n")
    (site / "acme_provider.py").write_text(PROVIDER)
    monkeypatch.syspath_prepend(site)  # pyright: ignore[reportUnknownMemberType] - untyped in pytest
    monkeypatch.setenv("PLANTED_KEY", PLANTED)
    monkeypatch.setenv("COLUMNS", "120")
    path = tmp_path / "resilient.toml"
    path.write_text(FILE)
    yield path
    sys.modules.pop("acme_provider", None)


@pytest.fixture
def run() -> Run:
    """Runs the command line in this process; nothing it prints may hold the planted key."""

    def run(*arguments: str | Path, stdin: str | None = None) -> Result:
        result = CliRunner().invoke(app, [str(argument) for argument in arguments], input=stdin)
        assert PLANTED not in result.output
        assert "Traceback" not in result.output
        return result

    return run
