"""The check that old versions of the SDKs go through (`make sdk-versions`), with those that are installed here."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "check_one_sdk.py"


@pytest.mark.parametrize("sdk", ["openai", "anthropic", "groq", "together"])
def test_what_wrap_promises_is_kept_with_the_sdk_that_is_installed(sdk: str) -> None:
    done = subprocess.run([sys.executable, SCRIPT, sdk], capture_output=True, text=True, check=False, timeout=120)  # fmt: skip
    assert done.returncode == 0, done.stderr
    promises = json.loads(done.stdout)["promises"]
    assert len(promises) > 20
    assert {promise: how for promise, how in promises.items() if how != "kept"} == {}
