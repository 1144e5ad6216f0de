from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import pytest
from typer.testing import Result

from resilient_ai.cli.terminal import printable
from resilient_ai.config.jsonschema import json_schema_text

Run = Callable[..., Result]


def test_ask_prints_the_answer_alone_on_standard_output(run: Run, config: Path) -> None:
    result = run("ask", "Where is it?", "-c", config)
    assert result.exit_code == 0
    assert result.stdout == "good says: Where is it?\n"
    assert "1 attempt" in result.stderr


@pytest.mark.parametrize(
    "arguments", [("--no-stream",), ("--deadline", "5s"), ("--deadline", "5"), ("--system", "Be brief.")]
)
def test_ask_answers_the_same_with_any_option(arguments: tuple[str, ...], run: Run, config: Path) -> None:
    result = run("ask", "Where is it?", "-c", config, *arguments)
    assert (result.exit_code, result.stdout) == (0, "good says: Where is it?\n")


@pytest.mark.parametrize("arguments", [(), ("-",)])
def test_ask_reads_the_question_from_standard_input(
    arguments: tuple[str, ...], run: Run, config: Path
) -> None:
    assert run("ask", *arguments, "-c", config, stdin="Where?\n").stdout == "good says: Where?\n"


def test_ask_tells_people_when_another_model_answered_and_why(run: Run, config: Path) -> None:
    result = run("ask", "hi", "-c", config, "--chain", "fallback")
    assert (result.exit_code, result.stdout) == (0, "good says: hi\n")
    assert "fallback" in result.stderr
    assert "✗ function:fails  connection after" in result.stderr
    assert "✓ function:good  answered after" in result.stderr


def test_ask_tells_machines_the_whole_history(run: Run, config: Path) -> None:
    result = run("ask", "hi", "-c", config, "--chain", "fallback", "--json")
    document = json.loads(result.stdout)
    assert document["text"] == "good says: hi"
    assert document["degraded"] is True
    assert [attempt["kind"] for attempt in document["outcome"]["attempts"]] == ["connection", None]
    assert result.stderr == ""


def test_ask_ends_with_1_when_no_model_answers(run: Run, config: Path) -> None:
    result = run("ask", "hi", "-c", config, "--chain", "broken")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "ConnectionResetError" in result.stderr


def test_ask_tells_machines_why_no_model_answered(run: Run, config: Path) -> None:
    result = run("ask", "hi", "-c", config, "--chain", "broken", "--json")
    assert result.exit_code == 1
    assert json.loads(result.stdout)["error"]["type"] == "ConnectionResetError"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("-m", "openai:x", "--chain", "default"), "leave --config and --chain out"),
        (("--deadline", "soon"), "--deadline: expected a duration"),
        (("--chain", "defualt"), "Did you mean 'default'?"),
        (("-c", "none.toml"), "none.toml: there is no such file"),
        (("-m", "opneai:x"), "Did you mean 'openai:x'?"),
        (("--nonsense",), "No such option"),
    ],
)
def test_a_wrong_command_line_ends_with_2_and_says_what_is_wrong(
    arguments: tuple[str, ...], says: str, run: Run, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(config.parent)
    result = run("ask", "hi", *arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert says in result.stderr


def test_ask_that_is_interrupted_ends_as_the_shell_expects(run: Run, config: Path) -> None:
    config.write_text("[models.x]\nprovider = 'acme'\nmodel = 'interrupts'\n[chains.x]\nmodels = ['x']\n")
    result = run("ask", "hi", "-c", config)
    assert (result.exit_code, result.stdout, result.stderr) == (130, "", "interrupted\n")


def test_an_answer_cannot_command_the_terminal() -> None:
    assert printable("a\x1b[2Jb\x07\tc\n\x9bd\r") == "a[2Jb\tc\nd"


def test_a_data_class_that_is_none_is_refused(run: Run, config: Path) -> None:
    result = run("ask", "hi", "-c", config, "--data-class", "secret")
    assert result.exit_code == 1
    assert "public, internal, personal, restricted" in result.stderr


def test_check_says_that_all_is_well(run: Run, config: Path) -> None:
    result = run("check", "-c", config)
    assert result.exit_code == 0
    assert "no problem" in result.stdout
    assert "openai:gpt-5.2" in result.stdout
    assert "key found" in result.stdout
    assert "bad → good" in result.stdout


def test_check_tells_a_missing_key_with_its_line_once(
    run: Run, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PLANTED_KEY")
    result = run("check", "-c", config)
    assert result.exit_code == 1
    told = f"{config}:10: models.remote.api_key: the environment variable PLANTED_KEY is not set."
    assert result.stdout.count(told) == 1
    assert "1 problem\n" in result.stdout


def test_check_tells_a_missing_model_file_with_its_line(run: Run, config: Path) -> None:
    config.write_text("[models.small]\nprovider = 'on-device'\npath = 'none.gguf'\n")
    result = run("check", "-c", config)
    assert result.exit_code == 1
    assert (
        f"{config}:3: models.small.path: the file {config.parent / 'none.gguf'} cannot be read"
        in result.stdout
    )


def test_check_tells_every_problem_of_a_wrong_file(run: Run, config: Path) -> None:
    config.write_text("[chains.x]\ndedline = 5\nretry.attempts = 0\n")
    result = run("check", "-c", config)
    assert result.exit_code == 1
    assert f"✗ {config}:2: chains.x.dedline: unknown key. Did you mean 'deadline'?" in result.stdout
    assert "2 problems" in result.stdout


def test_check_tells_machines_the_same(run: Run, config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PLANTED_KEY")
    document = json.loads(run("check", "-c", config, "--json").stdout)
    found = {(finding["kind"], finding["name"]): finding["ok"] for finding in document["findings"]}
    assert found[("model", "good")] is True
    assert found[("model", "remote")] is False
    assert found[("chain", "hopeless")] is False
    assert found[("chain", "fallback")] is True
    assert [(one["line"], one["key"]) for one in document["problems"]] == [(10, "models.remote.api_key")]
    config.write_text("version = 2")
    wrong = run("check", "-c", config, "--json")
    assert wrong.exit_code == 1
    assert json.loads(wrong.stdout)["problems"][0]["line"] == 1


def test_check_live_asks_each_model_and_goes_on_after_one_that_fails(run: Run, config: Path) -> None:
    config.write_text(
        "[models.bad]\nprovider = 'acme'\nmodel = 'breaks'\n[models.good]\nprovider = 'acme'\nmodel = 'good'\n"
    )
    document = json.loads(run("check", "-c", config, "--live", "--json").stdout)
    bad, good = document["findings"]
    assert (bad["ok"], bad["problem"]["type"]) == (False, "RuntimeError")
    assert (good["ok"], good["detail"].startswith("answered after")) == (True, True)


def test_check_without_a_file_ends_with_2(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("RESILIENT_AI_CONFIG", raising=False)
    result = run("check")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "no configuration file" in result.stderr


@pytest.mark.parametrize("text", ["", "# only a comment\n", "[telemetry]\nlogs = 'json'\n"])
def test_check_finds_a_file_by_which_nobody_can_be_asked(text: str, run: Run, tmp_path: Path) -> None:
    path = tmp_path / "resilient.toml"
    path.write_text(text)
    result = run("check", "-c", path)
    assert result.exit_code == 1
    assert "the file has no model and no chain" in " ".join(result.stdout.split())
    assert "1 problem" in result.stdout


def test_ask_without_a_file_says_how_to_do_without_one(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("RESILIENT_AI_CONFIG", raising=False)
    result = run("ask", "Where is my parcel?")
    assert result.exit_code == 2
    assert "name a file, or ask a model without one: --model openai:gpt-5.2." in " ".join(
        result.stderr.split()
    )
    monkeypatch.setenv("RESILIENT_AI_CONFIG", "missing.toml")
    assert "--model" not in run("ask", "Where is my parcel?").stderr


@pytest.mark.parametrize("command", ["ask", "check", "explain"])
def test_a_provider_that_raises_what_it_likes_is_told_without_its_text(
    command: str, run: Run, config: Path
) -> None:
    config.write_text("[models.x]\nprovider = 'acme'\nmodel = 'refuses'\n[chains.x]\nmodels = ['x']\n")
    result = run(command, *(["hi"] if command == "ask" else []), "-c", config)
    assert result.exit_code == 1
    assert "RuntimeError" in result.output


def test_explain_shows_each_chain_with_its_worst_case_and_needs_no_key(
    run: Run, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PLANTED_KEY")
    result = run("explain", "-c", config)
    assert result.exit_code == 0
    assert result.stdout.count("worst case") == 4
    one = run("explain", "-c", config, "--chain", "fallback")
    assert "worst case: 2 requests, 120 s" in one.stdout.replace(" (6 with output checks)", "")


def test_explain_tells_machines_the_numbers(run: Run, config: Path) -> None:
    (chain,) = json.loads(run("explain", "-c", config, "--chain", "fallback", "--json").stdout)["chains"]
    assert chain["worst_case"]["requests"] == 2
    assert chain["worst_case"]["seconds"] == 120.0
    assert chain["retry"] == {"attempts": 1, "base": 0.5, "cap": 8.0}
    assert [model["model"] for model in chain["models"]] == ["fails", "good"]


def test_schema_prints_the_published_schema(run: Run, tmp_path: Path) -> None:
    assert run("schema").stdout == json_schema_text()
    assert run("schema", "-o", tmp_path / "s.json").stdout == ""
    assert (tmp_path / "s.json").read_text() == json_schema_text()
    assert run("schema", "-o", tmp_path / "no" / "s.json").exit_code == 1


@pytest.mark.parametrize("command", [(), ("ask",), ("check",), ("explain",), ("schema",), ("demo",)])
def test_help_names_the_exit_codes(command: tuple[str, ...], run: Run) -> None:
    result = run(*command, "--help")
    assert result.exit_code == 0
    for code in ("0 all is well", "1 a problem", "2 the command line", "130 interrupted"):
        assert code.replace(" ", "") in "".join(result.stdout.split())


def test_the_version_is_that_of_the_package(run: Run) -> None:
    assert run("--version").stdout == f"resilient-ai {version('resilient_ai')}\n"


@pytest.mark.parametrize("missing", ["typer", "rich"])
def test_without_the_extra_one_sentence_says_how_to_install_it(missing: str) -> None:
    code = f"import sys; sys.modules[{missing!r}] = None; from resilient_ai.cli import main; main()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "The command line needs the [cli] extra: pip install 'resilient_ai[cli]'\n"


def test_explain_builds_every_chain_of_the_example(run: Run) -> None:
    result = run("explain", "-c", Path(__file__).parents[3] / "examples" / "config" / "resilient.toml")
    assert result.exit_code == 0
    assert result.stdout.count("worst case") == 2
