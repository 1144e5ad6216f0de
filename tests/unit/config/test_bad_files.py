"""A table of files that are wrong: each error names its line, its key and the nearest right name."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from resilient_ai.config import json_schema, load_config
from resilient_ai.errors import ConfigError

GOOD = """\
version = 1
[models.big]
provider = "openai"
model = "gpt-5.2"
[models.small]
provider = "on-device"
path = "small.gguf"
[chains.support]
models = ["big", "small"]
"""
"""Nine lines that are right; what a case adds begins on line 10, in [chains.support]."""

VALIDATOR: Any = jsonschema.Draft202012Validator(json_schema())
PLANTED = "sk-planted-7c1f0e9d2b"


@dataclass(frozen=True)
class Bad:
    """What is added to a good file, and what is said about it.

    Attributes:
        text: The lines added.
        line: Where the error is.
        key: Which setting it names.
        says: A part of its text.
        suggestion: The nearest right name.
        shape: The JSON Schema can see it too.
    """

    text: str
    line: int
    key: str
    says: str
    suggestion: str | None = None
    shape: bool = True


CASES = {
    # Keys that are not there.
    "misspelt key": Bad("dedline = 20", 10, "chains.support.dedline", "unknown key.", "deadline"),
    "key of a table below": Bad(
        "attempts = 2", 10, "chains.support.attempts", "unknown key.", "retry.attempts"
    ),
    "key in another case": Bad("Deadline = 2", 10, "chains.support.Deadline", "unknown key.", "deadline"),
    "key like nothing": Bad(
        "[privacy]\nzzz = 1", 11, "privacy.zzz", "unknown key; the keys of privacy are: known_values"
    ),
    "key in an inline table": Bad(
        "retry = { atempts = 2 }", 10, "chains.support.retry.atempts", "unknown key.", "attempts"
    ),
    "key in a dotted key": Bad(
        "retry.atempts = 2", 10, "chains.support.retry.atempts", "unknown key.", "attempts"
    ),
    "key in a table's own header": Bad(
        "\n[chains.support.breaker]\nwindwo = 240",
        12,
        "chains.support.breaker.windwo",
        "unknown key.",
        "window",
    ),
    "table at the top": Bad("[chian.x]\nmodels = []", 10, "chian", "unknown key.", "chains"),
    "failure kind": Bad(
        'on = { content_filterd = "next" }',
        10,
        "chains.support.on.content_filterd",
        "unknown key.",
        "content_filtered",
    ),
    "failure kind nobody may change": Bad(
        'on = { cancelled = "next" }',
        10,
        "chains.support.on.cancelled",
        "unknown key; the keys of chains.support.on are",
    ),
    "name with a space": Bad(
        '[models."a b"]\nprovider = "openai"', 10, 'models."a b"', "expected a name that matches"
    ),
    # Values of the wrong kind.
    "text for a number": Bad(
        "retry.attempts = '3'", 10, "chains.support.retry.attempts", "expected a whole number."
    ),
    "fraction for a count": Bad(
        "retry.attempts = 2.5", 10, "chains.support.retry.attempts", "expected a whole number."
    ),
    "truth for a number": Bad(
        "limits.queue = true", 10, "chains.support.limits.queue", "expected a whole number."
    ),
    "number for a truth": Bad(
        "budget.enabled = 1", 10, "chains.support.budget.enabled", "expected true or false."
    ),
    "number for a table": Bad("retry = 3", 10, "chains.support.retry", "expected a table."),
    "text for a list": Bad("[chains.x]\nmodels = 'big'", 11, "chains.x.models", "expected a list."),
    "number for text": Bad(
        "[models.x]\nprovider = 'openai'\nmodel = 5", 12, "models.x.model", "expected text."
    ),
    "empty list": Bad("[chains.x]\nmodels = []", 11, "chains.x.models", "expected a list that is not empty."),
    "empty text": Bad(
        "[models.x]\nprovider = 'openai'\nmodel = ''",
        12,
        "models.x.model",
        "expected text that is not empty.",
    ),
    "count below one": Bad(
        "retry.attempts = 0", 10, "chains.support.retry.attempts", "is 0, must be at least 1."
    ),
    "ratio above one": Bad(
        "breaker.failure_ratio = 50", 10, "chains.support.breaker.failure_ratio", "is 50, must be at most 1."
    ),
    "rate of nothing": Bad(
        "limits.requests_per_minute = 0",
        10,
        "chains.support.limits.requests_per_minute",
        "must be greater than 0",
    ),
    "not finite": Bad(
        "budget.capacity = nan", 10, "chains.support.budget.capacity", "expected a finite number", shape=False
    ),
    "unit that is not one": Bad(
        "deadline = '20 sec'", 10, "chains.support.deadline", 'expected a duration such as "20s"'
    ),
    "no time at all": Bad("deadline = '0s'", 10, "chains.support.deadline", "longer than 0 s"),
    "negative time": Bad("retry.base = -1", 10, "chains.support.retry.base", "not negative"),
    "misspelt choice": Bad(
        "on_interrupt = 'restrat'", 10, "chains.support.on_interrupt", "expected one of", "restart"
    ),
    "misspelt action": Bad(
        "on.timeout = 'nxt'", 10, "chains.support.on.timeout", "expected one of retry, next", "next"
    ),
    "misspelt data class": Bad(
        "[models.x]\nprovider = 'openai'\nmodel = 'm'\ndata_classes = ['public', 'privat']",
        13,
        "models.x.data_classes[1]",
        "expected one of public, internal, personal, restricted.",
    ),
    "price that is not money": Bad(
        "[models.x]\nprovider = 'openai'\nmodel = 'm'\nprice = { input = '1,25', output = '2' }",
        13,
        "models.x.price.input",
        "expected an amount of money",
    ),
    "half a price": Bad(
        "[models.x]\nprovider = 'openai'\nmodel = 'm'\nprice = { input = '1.25' }",
        13,
        "models.x.price",
        "`output` is missing.",
    ),
    # Keys, addresses.
    "key in the file": Bad(
        f"[models.x]\nprovider = 'openai'\nmodel = 'm'\napi_key = '{PLANTED}'",
        13,
        "models.x.api_key",
        'write where it is: "env:NAME" or "file:PATH"',
    ),
    "password in an address": Bad(
        f"[models.x]\nprovider = 'openai'\nmodel = 'm'\nbase_url = 'https://me:{PLANTED}@example.com/v1'",
        13,
        "models.x.base_url",
        "without a user name, password or fragment",
    ),
    "key where a name belongs": Bad(
        f"[chains.x]\nmodels = ['{PLANTED}']", 11, "chains.x.models[0]", "there is no such model", shape=False
    ),
    "key where a choice belongs": Bad(
        f"when_all_open = '{PLANTED}'",
        10,
        "chains.support.when_all_open",
        "expected one of last_resort, wait, raise.",
    ),
    # Names that must exist.
    "provider that is not there": Bad(
        "[models.x]\nprovider = 'opneai'\nmodel = 'm'",
        11,
        "models.x.provider",
        "there is no such provider",
        "openai",
        shape=False,
    ),
    "no provider": Bad("[models.x]\nmodel = 'm'", 10, "models.x", "`provider` is missing."),
    "no model": Bad(
        "[models.x]\nprovider = 'openai'", 10, "models.x", "`model` is missing; a model of provider openai"
    ),
    "no path": Bad("[models.x]\nprovider = 'on-device'", 10, "models.x", "`path` is missing"),
    "setting of another provider": Bad(
        "[models.x]\nprovider = 'on-device'\npath = 'x.gguf'\napi_key = 'env:K'",
        13,
        "models.x.api_key",
        "a model of provider on-device does not take this.",
    ),
    "member that is not there": Bad(
        "[chains.x]\nmodels = [\n  'big',\n  'smal',\n]",
        13,
        "chains.x.models[1]",
        "there is no such model",
        "small",
        shape=False,
    ),
    "member twice": Bad(
        "[chains.x]\nmodels = ['big', 'big']",
        11,
        "chains.x.models[1]",
        "stands in the chain twice",
        shape=False,
    ),
    "chain of nothing": Bad("[chains.x]\ndeadline = 5", 10, "chains.x", "`models` is missing.", shape=False),
    "parent that is not there": Bad(
        "extends = 'defualt'", 10, "chains.support.extends", "there is no such chain", "default", shape=False
    ),
    "chain that extends itself": Bad(
        "extends = 'support'", 10, "chains.support.extends", "in a circle: support -> support.", shape=False
    ),
    "chains in a circle": Bad(
        "extends = 'b'\n[chains.b]\nextends = 'a'\n[chains.a]\nextends = 'b'",
        14,
        "chains.a.extends",
        "in a circle: a -> b -> a.",
        shape=False,
    ),
    # Limits that do not fit the limits around them: both numbers are named.
    "attempt beyond the deadline": Bad(
        "deadline = '20s'\ntimeouts = { attempt = '30s' }",
        11,
        "chains.support.timeouts.attempt",
        "the attempt timeout of 30 s is longer than the deadline of 20 s (line 10).",
        shape=False,
    ),
    "attempt beyond the default deadline": Bad(
        "timeouts.attempt = '3m'\nbreaker.window = '6m'",
        10,
        "chains.support.timeouts.attempt",
        "the attempt timeout of 180 s is longer than the deadline of 120 s (the default).",
        shape=False,
    ),
    "attempt of one model beyond the deadline": Bad(
        "[models.slow]\nprovider = 'openai'\nmodel = 'm'\ntimeouts.attempt = '15s'\n[chains.x]\nmodels = ['slow']\ndeadline = 9",
        13,
        "models.slow.timeouts.attempt",
        "the attempt timeout of 15 s is longer than the deadline of 9 s (line 16).",
        shape=False,
    ),
    "first token after the attempt": Bad(
        "timeouts = { attempt = '10s', first_token = '12s' }",
        10,
        "chains.support.timeouts.first_token",
        "12 s is longer than the whole attempt may take, 10 s.",
        shape=False,
    ),
    "reserves beyond the deadline": Bad(
        "deadline = '20s'\nreserve = '20s'",
        11,
        "chains.support.reserve",
        "1 x 20 s = 20 s, which leaves it nothing of the deadline of 20 s (line 10).",
        shape=False,
    ),
    "window shorter than two attempts": Bad(
        "deadline = '40s'\nbreaker.window = '60s'",
        11,
        "chains.support.breaker.window",
        "the breaker's window of 60 s is shorter than twice the longest attempt, 2 x 40 s = 80 s.",
        shape=False,
    ),
    "attempt longer than half the window": Bad(
        "timeouts.attempt = '90s'",
        10,
        "chains.support.timeouts.attempt",
        "the breaker's window of 120 s is shorter than twice the longest attempt, 2 x 90 s = 180 s.",
        shape=False,
    ),
    "break longer than the longest": Bad(
        "breaker.open_for = '10m'",
        10,
        "chains.support.breaker.open_for",
        "open_for is 600 s, longer than open_for_max, which is 300 s.",
        shape=False,
    ),
    "pause longer than its cap": Bad(
        "retry.cap = '100ms'",
        10,
        "chains.support.retry.cap",
        "base is 0.5 s, longer than cap, which is 0.1 s.",
        shape=False,
    ),
}


@pytest.mark.parametrize("bad", CASES.values(), ids=CASES)
def test_a_wrong_file_is_refused_with_its_line_its_key_and_the_nearest_right_name(
    bad: Bad, tmp_path: Path
) -> None:
    path = tmp_path / "resilient.toml"
    path.write_text(GOOD + bad.text)
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    error = caught.value
    assert (error.path, error.line, error.key, error.suggestion) == (
        str(path),
        bad.line,
        bad.key,
        bad.suggestion,
    )
    assert str(error).startswith(f"{path}:{bad.line}: {bad.key}: ")
    assert bad.says in str(error)
    assert PLANTED not in "\n".join([str(error), repr(error), *getattr(error, "__notes__", [])])


@pytest.mark.parametrize("bad", CASES.values(), ids=CASES)
def test_the_json_schema_refuses_what_is_wrong_in_shape(bad: Bad) -> None:
    problems: list[object] = list(VALIDATOR.iter_errors(tomllib.loads(GOOD + bad.text)))
    assert bool(problems) is bad.shape


def test_all_problems_are_told_at_once_in_the_order_of_their_lines(tmp_path: Path) -> None:
    path = tmp_path / "resilient.toml"
    path.write_text(GOOD + "dedline = 1\nretry.attempts = 0\n[telemetry]\nlogs = 'jsno'")
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    assert caught.value.line == 10
    assert [note.split(": ")[0].rsplit(":", 1)[1] for note in caught.value.__notes__] == ["11", "13"]


def test_a_default_that_does_not_fit_is_capped_and_not_complained_about(tmp_path: Path) -> None:
    path = tmp_path / "resilient.toml"
    path.write_text(GOOD + "deadline = '3s'")
    assert load_config(path).chain("support").settings.get("deadline") == 3.0
