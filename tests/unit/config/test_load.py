from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import resilient_ai.config as package
from resilient_ai.config import Config, ConfigSource, find_config, load_config
from resilient_ai.errors import ConfigError

MODELS = "[models.a]\nprovider = 'openai'\nmodel = 'm'\n[models.b]\nprovider = 'openai'\nmodel = 'n'\n"


def write(directory: Path, chains: str, name: str = "resilient.toml") -> Path:
    path = directory / name
    path.write_text(MODELS + chains)
    return path


def test_the_file_is_the_argument_then_the_variable_then_its_own_name_then_pyproject(tmp_path: Path) -> None:
    environ = {"RESILIENT_AI_CONFIG": "named.toml"}
    for name in ("given.toml", "named.toml", "resilient.toml"):
        (tmp_path / name).write_text("version = 1")
    (tmp_path / "pyproject.toml").write_text("[tool.resilient-ai]\nversion = 1")
    assert find_config("given.toml", directory=tmp_path, environ=environ).name == "given.toml"
    assert find_config(directory=tmp_path, environ=environ).name == "named.toml"
    assert find_config(directory=tmp_path, environ={}).name == "resilient.toml"
    (tmp_path / "resilient.toml").unlink()
    assert find_config(directory=tmp_path, environ={}).name == "pyproject.toml"


def test_a_file_that_was_named_and_is_not_there_is_not_replaced_by_another(tmp_path: Path) -> None:
    (tmp_path / "resilient.toml").write_text("version = 1")
    with pytest.raises(ConfigError, match=r"gone\.toml: there is no such file$"):
        find_config("gone.toml", directory=tmp_path, environ={})
    with pytest.raises(
        ConfigError, match=r"gone\.toml: there is no such file \(named by RESILIENT_AI_CONFIG\)"
    ):
        find_config(directory=tmp_path, environ={"RESILIENT_AI_CONFIG": "gone.toml"})


@pytest.mark.parametrize("pyproject", [None, "[project]\nname = 'x'", "not toml"])
def test_without_a_file_every_place_that_was_looked_at_is_named(
    pyproject: str | None, tmp_path: Path
) -> None:
    if pyproject is not None:
        (tmp_path / "pyproject.toml").write_text(pyproject)
    with pytest.raises(ConfigError) as caught:
        find_config(directory=tmp_path, environ={})
    for place in ("RESILIENT_AI_CONFIG", "resilient.toml", "pyproject.toml", "[tool.resilient-ai]"):
        assert place in str(caught.value)


def test_pyproject_holds_the_same_settings_with_the_lines_of_the_whole_file(tmp_path: Path) -> None:
    path = tmp_path / "pyproject.toml"
    path.write_text(
        "[project]\nname = 'x'\n[tool.resilient-ai.models.a]\nprovider = 'openai'\nmodel = 'm'\n"
        "[tool.resilient-ai.chains.c]\nmodels = ['a']\n"
    )
    config = load_config(path)
    assert config.chains == ("c",)
    assert config.source.line(("chains", "c", "models")) == 7


def test_a_chain_takes_over_what_it_does_not_say_itself(tmp_path: Path) -> None:
    config = load_config(
        write(
            tmp_path,
            "[chains.top]\ndeadline = 30\nretry = { attempts = 5, base = 1 }\non = { timeout = 'next' }\n"
            "[chains.middle]\nextends = 'top'\nmodels = ['a', 'b']\nretry.attempts = 4\n"
            "[chains.leaf]\nextends = 'middle'\nmodels = ['b']\non.unknown = 'raise'\n",
        )
    )
    leaf = config.chain("leaf")
    assert leaf.lineage == ("leaf", "middle", "top")
    assert leaf.settings == {
        "deadline": 30.0,
        "retry": {"attempts": 4, "base": 1.0},
        "on": {"timeout": "next", "unknown": "raise"},
        "models": ["b"],
    }
    assert config.chains == ("middle", "leaf")
    assert leaf.place("retry", "attempts") == ("chains", "middle", "retry", "attempts")
    assert leaf.place("retry", "cap") == ("chains", "leaf", "retry", "cap")


def test_default_may_always_be_extended(tmp_path: Path) -> None:
    bare = load_config(write(tmp_path, "[chains.x]\nextends = 'default'\nmodels = ['a']\n"))
    assert bare.chain("x").settings == {"models": ["a"]}
    own = load_config(
        write(tmp_path, "[chains.default]\ndeadline = 5\n[chains.x]\nextends = 'default'\nmodels = ['a']\n")
    )
    assert own.chain("x").settings == {"models": ["a"], "deadline": 5.0}


def test_a_setting_that_several_chains_take_over_is_complained_about_once(tmp_path: Path) -> None:
    children = "".join(f"[chains.c{n}]\nextends = 'base'\nmodels = ['a']\n" for n in range(3))
    with pytest.raises(ConfigError) as caught:
        load_config(write(tmp_path, f"[chains.base]\nbreaker.window = 10\n{children}"))
    assert caught.value.key == "chains.base.breaker.window"
    assert not hasattr(caught.value, "__notes__")


def test_without_a_name_the_only_chain_is_meant_or_the_one_called_default(tmp_path: Path) -> None:
    one = load_config(
        write(
            tmp_path,
            "[chains.x]\nmodels = ['a']\n[chains.base]\ndeadline = 5\n[chains.y]\nextends = 'base'\nmodels=['b']\n",
        )
    )
    with pytest.raises(ConfigError, match="there are several chains; name one of: x, y"):
        one.chain()
    assert load_config(write(tmp_path, "[chains.x]\nmodels = ['a']\n")).chain().name == "x"
    several = load_config(write(tmp_path, "[chains.x]\nmodels = ['a']\n[chains.default]\nmodels = ['b']\n"))
    assert several.chain().name == "default"
    with pytest.raises(ConfigError, match="no chain with models"):
        load_config(write(tmp_path, "")).chain()


def test_a_chain_that_is_not_there_is_answered_with_the_nearest_one(tmp_path: Path) -> None:
    config = load_config(write(tmp_path, "[chains.support]\nmodels = ['a']\n"))
    with pytest.raises(ConfigError, match="there is no chain called 'suport'") as caught:
        config.chain("suport")
    assert caught.value.suggestion == "support"


def test_a_reload_puts_the_new_settings_in_force(tmp_path: Path) -> None:
    path = write(tmp_path, "[chains.x]\nmodels = ['a']\n")
    source = ConfigSource(path)
    first = source.current
    assert not source.reload().changed
    write(tmp_path, "[chains.x]\nmodels = ['a']\ndeadline = 7\n")
    reloaded = source.reload(lambda config: config.chain("x").settings.get("deadline"))
    assert reloaded.changed
    assert reloaded.built == 7.0
    assert reloaded.old.digest == first.digest
    assert source.current is reloaded.new
    assert source.current.chain("x").settings.get("deadline") == 7.0


@pytest.mark.parametrize("text", [None, "", "version = 2", "[chains.x]\nmodels = ['zzz']", "not toml"])
def test_a_reload_that_fails_keeps_the_old_settings_and_says_why(text: str | None, tmp_path: Path) -> None:
    path = write(tmp_path, "[chains.x]\nmodels = ['a']\n")
    source = ConfigSource(path)
    before = source.current

    def accept(config: Config) -> None:
        config.chain("x")

    if text is None:
        path.unlink()
    else:
        path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        source.reload(accept)
    assert source.current is before
    assert source.error is caught.value
    write(tmp_path, "[chains.x]\nmodels = ['b']\n")
    assert source.reload(accept).changed
    assert source.error is None


def test_a_refused_reload_changes_nothing_even_if_something_else_is_raised(tmp_path: Path) -> None:
    path = write(tmp_path, "[chains.x]\nmodels = ['a']\n")
    source = ConfigSource(path)
    before = source.current

    def accept(config: Config) -> None:
        raise RuntimeError(config.digest)

    write(tmp_path, "[chains.x]\nmodels = ['b']\n")
    with pytest.raises(RuntimeError):
        source.reload(accept)
    assert source.current is before


def test_a_running_source_keeps_its_file_when_the_working_directory_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, "[chains.x]\nmodels = ['a']\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("RESILIENT_AI_CONFIG", raising=False)
    source = ConfigSource()
    monkeypatch.chdir("/")
    assert not source.reload().changed
    assert source.path == tmp_path / "resilient.toml"


def test_every_public_name_is_there_and_nothing_else_is_loaded_for_it() -> None:
    assert sorted(package.__all__) == package.__all__
    for name in package.__all__:
        assert getattr(package, name) is not None
    with pytest.raises(AttributeError, match="nonsense"):
        _ = package.nonsense
    code = "import sys, resilient_ai.cli.app; print([m for m in ('pydantic', 'httpx', 'resilient_ai.model') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
