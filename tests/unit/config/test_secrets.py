from __future__ import annotations

from pathlib import Path

import pytest

from resilient_ai.config.secrets import check_reference, look_up
from resilient_ai.privacy import redact_log

PLANTED = "sk-planted-7c1f0e9d2b"


@pytest.mark.parametrize(
    "value",
    [PLANTED, "", "env:", "env:WITH SPACE", "env:1ABC", "file:", "file:  ", "ENV:NAME", "env:A\n", 5, None],
)
def test_what_is_not_a_reference_is_refused_and_not_repeated(value: object) -> None:
    with pytest.raises(ValueError, match="env:NAME") as caught:
        check_reference(value)
    assert PLANTED not in str(caught.value)


@pytest.mark.parametrize("value", ["env:OPENAI_API_KEY", "env:_x1", "file:key.txt", "file:/run/secrets/key"])
def test_a_reference_is_taken_as_it_is(value: str) -> None:
    assert check_reference(value) == value


def test_a_variable_gives_its_value_without_white_space(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PLANTED_KEY", f" {PLANTED}\n")
    assert look_up("env:PLANTED_KEY", tmp_path).reveal() == PLANTED


def test_a_file_is_found_from_the_directory_of_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "key.txt").write_text(f"{PLANTED}\n")
    assert look_up("file:key.txt", tmp_path).reveal() == PLANTED
    assert look_up(f"file:{tmp_path / 'key.txt'}", Path("/")).reveal() == PLANTED


def test_a_key_that_was_looked_up_is_known_to_every_redactor(tmp_path: Path) -> None:
    (tmp_path / "key.txt").write_text("zebra-lamp-quartz-violin")
    assert "quartz" in redact_log("with zebra-lamp-quartz-violin in it")
    secret = look_up("file:key.txt", tmp_path)
    assert "quartz" not in redact_log("with zebra-lamp-quartz-violin in it")
    assert "quartz" not in f"{secret} {secret!r}"


@pytest.mark.parametrize(
    ("reference", "said"),
    [
        ("env:NOT_THERE", "the environment variable NOT_THERE is not set"),
        ("env:EMPTY", "the environment variable EMPTY is empty"),
        ("env:TWO", "the environment variable TWO holds more than one line"),
        ("file:none.txt", "none.txt cannot be read: No such file"),
        ("file:binary.txt", "binary.txt is not UTF-8 text"),
        ("file:empty.txt", "empty.txt is empty"),
    ],
)
def test_a_secret_that_is_not_there_is_named_and_never_shown(
    reference: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "binary.txt").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "empty.txt").write_text(" \n")
    monkeypatch.setenv("EMPTY", "")
    monkeypatch.setenv("TWO", f"{PLANTED}\nmore")
    with pytest.raises(LookupError, match=said) as caught:
        look_up(reference, tmp_path)
    assert PLANTED not in str(caught.value)
