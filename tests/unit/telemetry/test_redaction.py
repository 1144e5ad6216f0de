from __future__ import annotations

import pytest

from resilient_ai.privacy import known_values
from resilient_ai.telemetry import redaction
from unit.telemetry import story
from unit.telemetry.story import KEY


@pytest.fixture(autouse=True)
def nothing_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redaction, "_remembered", {})


def test_names_of_models_and_chains_pass_unchanged() -> None:
    for name in (
        "gpt-5.2",
        "claude-sonnet-4-5-20250929",
        "models/gemini-3-pro",
        "meta-llama/Llama-3.2-1B-Instruct",
        "llama3.2:1b-instruct-q4_K_M",
        "support",
        "rate_limit_exceeded",
        "api.openai.com",
        "on-device",
        "stop",
        "gcp.vertex_ai",
    ):
        assert redaction.clean(name) == name


def test_identifiers_of_providers_pass_unchanged() -> None:
    for value in (
        "chatcmpl-9Zq0J1k2L3m4N5o6P7q8R9s0T1u2V",
        "msg_01XFDUDYJgAACzvnptvVoYEL",
        "req_011CSHoEeqs5C35K2UUqR7Fy",
        "resp_68a1b2c3d4e5f60718293a4b5c6d7e8f",
        "3f2a9c1e-5b7d-4e8f-9a0b-1c2d3e4f5a6b",
    ):
        assert redaction.clean_once(value) == value


def test_a_key_where_a_name_belongs_does_not_pass_and_is_counted() -> None:
    before, _ = redaction.counts()
    assert KEY not in redaction.clean(KEY)
    assert KEY not in redaction.clean_once(f"model {KEY}")
    after, _ = redaction.counts()
    assert after == before + 2


def test_a_key_that_becomes_known_later_is_found_in_a_name_that_had_passed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(known_values.PROCESS_VALUES, "_forms", ())
    assert redaction.clean("tenant-hunter2-secret") == "tenant-hunter2-secret"
    known_values.register("hunter2-secret")
    assert "hunter2-secret" not in redaction.clean("tenant-hunter2-secret")


def test_a_redactor_that_fails_yields_a_constant_and_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken:
        errors = 0

        def text(self, text: str) -> str:
            raise RuntimeError(text)

    _, before = redaction.counts()
    monkeypatch.setattr(redaction, "_redactor", Broken())
    assert redaction.clean(f"never seen {story.CANARY}") == redaction.PLACEHOLDER
    assert redaction.counts()[1] == before + 1


def test_a_key_of_the_shape_of_an_identifier_is_found_once_it_is_known(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(known_values.PROCESS_VALUES, "_forms", ())
    known_values.register("req_hunter2hunter2")
    assert "hunter2" not in redaction.clean_once("req_hunter2hunter2")


def test_a_long_value_is_cut_after_it_was_redacted() -> None:
    cleaned = redaction.clean_once("a-model " * 20 + KEY + " b" * 10_000)
    assert len(cleaned) <= redaction.MAX_CHARACTERS
    assert KEY[:20] not in cleaned


def test_what_is_remembered_is_bounded() -> None:
    for number in range(5000):
        redaction.clean(f"made-up-{number}")
    assert len(redaction._remembered) <= 2048
