from __future__ import annotations

import importlib.machinery
import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

import tiny_gguf
from resilient_ai.errors import ConfigError
from resilient_ai.messages import DataClassName
from resilient_ai.models import OnDeviceModel


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_gguf.write(tmp_path_factory.mktemp("model") / "triage.gguf", context=1024)


def _find(monkeypatch: pytest.MonkeyPatch, spec: importlib.machinery.ModuleSpec | None) -> None:
    def find_spec(_name: str) -> importlib.machinery.ModuleSpec | None:
        return spec

    monkeypatch.setattr(importlib.util, "find_spec", find_spec)


@pytest.fixture
def extra(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The extra as installed, so that these tests run without it."""
    spec = importlib.machinery.ModuleSpec(
        "xllamacpp", None, origin=str(tmp_path / "xllamacpp" / "__init__.py")
    )
    _find(monkeypatch, spec)


def test_without_the_extra_the_install_command_is_named_at_construction(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _find(monkeypatch, None)

    with pytest.raises(ConfigError, match=r'pip install "resilient_ai\[on-device\]"'):
        OnDeviceModel(path)


@pytest.mark.usefixtures("extra")
def test_a_truncated_file_is_refused_at_construction(path: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut.gguf"
    cut.write_bytes(path.read_bytes()[:-1])

    with pytest.raises(ConfigError, match="truncated"):
        OnDeviceModel(cut)


@pytest.mark.usefixtures("extra")
def test_a_file_that_is_not_the_pinned_one_is_refused_at_construction(path: Path) -> None:
    with pytest.raises(ConfigError, match="not the one pinned"):
        OnDeviceModel(path, sha256="0" * 64)


@pytest.mark.usefixtures("extra")
@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"slots": 0}, "slots is 0"),
        ({"slots": 17}, "at most 16"),
        ({"threads": 0}, "threads is 0"),
        ({"max_tokens": 0}, "max_tokens is 0"),
        ({"idle_seconds": 0}, "idle_seconds is 0"),
        ({"context_tokens": 0}, "context_tokens is 0"),
        ({"context_tokens": 1025}, "trained with 1024"),
    ],
)
def test_a_number_out_of_range_is_refused_with_the_range(
    path: Path, options: dict[str, int], words: str
) -> None:
    with pytest.raises(ConfigError, match=words):
        OnDeviceModel(path, **options)  # type: ignore[arg-type]  # every option here is an int


@pytest.mark.usefixtures("extra")
def test_its_traits_come_from_the_file_and_the_arguments(path: Path) -> None:
    model = OnDeviceModel(path, capabilities=("triage",), data_classes=("public", "personal"))

    assert model.name == "triage"
    assert model.provider == "on-device"
    assert model.traits.local
    assert model.traits.context_tokens == 1024
    assert model.traits.capabilities == ("triage",)
    assert model.traits.data_classes == frozenset[DataClassName](("public", "personal"))
    assert model.traits.typical_seconds < 1
    assert model.traits.server_address is None
    assert model.pid is None


@pytest.mark.usefixtures("extra")
def test_state_is_shared_by_models_of_the_same_file_and_settings_only(path: Path) -> None:
    assert OnDeviceModel(path).key == OnDeviceModel(str(path)).key
    assert OnDeviceModel(path).key != OnDeviceModel(path, threads=2).key
    assert OnDeviceModel(path).key != OnDeviceModel(path, name="other").key


@pytest.mark.skipif(
    importlib.util.find_spec("xllamacpp") is None, reason="needs the extra to prove it stays out"
)
def test_native_code_is_never_loaded_into_this_process(path: Path) -> None:
    code = (
        "import sys; from resilient_ai.models import OnDeviceModel; "
        f"m = OnDeviceModel({str(path)!r}); m.warm(); m.close(); sys.exit('xllamacpp' in sys.modules)"
    )

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
