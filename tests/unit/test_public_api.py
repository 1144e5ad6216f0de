"""The public surface is what api.txt says, and every public name can be had."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest

import resilient_ai

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "scripts"))

from public_api import PACKAGES, PAGE, lines  # noqa: E402 - the script is no package


def test_the_surface_is_the_one_that_was_reviewed() -> None:
    """After a deliberate change: python scripts/public_api.py --write, and tell users in CHANGELOG.md."""
    assert "\n".join(lines()) == PAGE.read_text()


@pytest.mark.parametrize("package", PACKAGES)
def test_every_public_name_is_sorted_and_loads(package: str) -> None:
    module = importlib.import_module(package)
    names: list[str] = list(module.__all__)
    assert names == sorted(
        names, key=lambda name: (0 if name.isupper() else 1 if name[0].isupper() else 2, name)
    )
    assert all(getattr(module, name) is not None for name in names)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = resilient_ai.nonsense


def test_the_package_lists_its_public_names() -> None:
    assert set(resilient_ai.__all__) <= set(dir(resilient_ai))


def test_a_submodule_never_hides_a_public_function() -> None:
    """`resilient_ai.observe` is the function even after its home was imported."""
    importlib.import_module("resilient_ai.telemetry")
    assert callable(resilient_ai.observe)
    submodules = {
        path.stem for path in (ROOT / "src/resilient_ai").iterdir() if not path.name.startswith("_")
    }
    assert submodules.isdisjoint(resilient_ai.__all__)
