"""The names of `resilient_ai.models` are what they say, in whatever order they are first used."""

from __future__ import annotations

import subprocess
import sys


def test_canned_is_a_function_even_after_its_module_was_loaded_for_another_name() -> None:
    code = "from resilient_ai import models; models.CannedModel; print(callable(models.canned))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert done.stdout.strip() == "True"
