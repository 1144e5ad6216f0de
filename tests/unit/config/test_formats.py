from __future__ import annotations

import json
import tomllib
from pathlib import Path

import jsonschema
import pytest
import yaml

from resilient_ai.config import json_schema, load_config
from resilient_ai.config.jsonschema import json_schema_text
from resilient_ai.config.read import MAX_FILE_BYTES, read_file
from resilient_ai.errors import ConfigError

ROOT = Path(__file__).parents[3]
EXAMPLE = ROOT / "examples" / "config" / "resilient.toml"
PUBLISHED = ROOT / "docs" / "resilient.schema.json"


def test_the_example_loads_and_means_what_it_says() -> None:
    config = load_config(EXAMPLE)
    assert config.chains == ("support", "offline")
    settings = config.chain("support").settings
    assert settings.get("deadline") == 20.0
    assert settings.get("retry") == {"attempts": 3, "base": 0.5, "cap": 8.0}
    assert settings.get("on") == {"content_filtered": "next", "bad_request": "raise"}
    assert settings.get("when_all_open") == "last_resort"
    assert config.models["big"].get("context_tokens") == 400_000
    assert config.models["big"].get("price", {}).get("input") == 1.25


@pytest.mark.parametrize("suffix", [".json", ".yaml", ".yml"])
def test_yaml_and_json_give_what_toml_gives(suffix: str, tmp_path: Path) -> None:
    values = tomllib.loads(EXAMPLE.read_text())
    path = tmp_path / f"resilient{suffix}"
    path.write_text(json.dumps(values) if suffix == ".json" else yaml.safe_dump(values))
    original, other = load_config(EXAMPLE), load_config(path)
    assert other.tables == original.tables
    assert other.digest == original.digest


def test_the_json_schema_accepts_the_example_and_the_published_copy_is_current() -> None:
    schema = json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(tomllib.loads(EXAMPLE.read_text()), schema, jsonschema.Draft202012Validator)
    assert PUBLISHED.read_text() == json_schema_text()


def test_every_table_of_the_json_schema_is_closed_and_every_setting_is_described() -> None:
    for name, table in json_schema()["$defs"].items():
        assert table["additionalProperties"] is False, name
        assert table["description"], name
        for key, setting in table["properties"].items():
            assert setting.get("description"), f"{name}.{key}"


def test_a_json_file_may_name_its_schema(tmp_path: Path) -> None:
    path = tmp_path / "resilient.json"
    path.write_text('{"$schema": "resilient.schema.json", "version": 1}')
    assert load_config(path).chains == ()


def test_the_keys_yaml_1_1_reads_as_something_else_stay_text(tmp_path: Path) -> None:
    path = tmp_path / "resilient.yaml"
    path.write_text("on: {no: yes}\nat: 12:30\ndate: 2020-01-01\ncount: 010\nhalf: .5\nbig: 1e3\nnone: ~\n")
    assert read_file(path).data == {
        "on": {"no": "yes"},
        "at": "12:30",
        "date": "2020-01-01",
        "count": 10,
        "half": 0.5,
        "big": 1000.0,
        "none": None,
    }


@pytest.mark.parametrize(
    ("name", "text", "line", "key", "says"),
    [
        ("a.toml", "a = 1\nb = \n", 2, None, "not valid TOML"),
        ("a.toml", "[chains\n", 1, None, "not valid TOML"),
        ("a.toml", 'a = """', 1, None, "not valid TOML"),
        ("a.toml", "a = 1\na = 2\n", 2, None, "not valid TOML: Cannot overwrite a value"),
        ("a.json", '{"a": 1,\n "b": }', 2, None, "not valid JSON"),
        ("a.json", '{"models": {},\n\n "models": {}}', 3, "models", "models: written twice, first on line 1"),
        ("a.json", "[1]", 1, None, "must hold a table"),
        ("a.yaml", "a: 1\n\tb: 2\n", 2, None, "not valid YAML"),
        ("a.yaml", "a: 1\nb: [\n", 3, None, "not valid YAML"),
        ("a.yaml", "version: 1\nversion: 1\n", 2, "version", "version: written twice, first on line 1"),
        ("a.yaml", "a: &x {b: 1}\nc: *x\n", 1, "c", "YAML anchors are not read here"),
        ("a.yaml", "models:\n  1: {}\n", 2, "models", "a key must be text"),
        (
            "a.yaml",
            "a: !!python/object:os.system {}\n",
            1,
            None,
            "not valid YAML: could not determine a constructor",
        ),
        ("a.yaml", "chains:\n  x:\n    on: true\n", 3, "chains.x.on", "expected a table"),
        ("a.yaml", "chains:\n  x:\n    deadline:\n", 3, "chains.x.deadline", "expected a duration"),
        (
            "a.json",
            '{"chains": {\n "x": {\n "dedline": 1}}}',
            3,
            "chains.x.dedline",
            "Did you mean 'deadline'?",
        ),
        ("pyproject.toml", "[project]\nname = 'x'\n", None, None, "has no [tool.resilient-ai] table"),
        ("pyproject.toml", "[tool.resilient-ai]\n\nversoin = 1", 3, "versoin", "Did you mean 'version'?"),
        ("a.ini", "", None, None, "must end in .toml, .yaml, .yml or .json"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused_with_its_line(
    name: str, text: str, line: int | None, key: str | None, says: str, tmp_path: Path
) -> None:
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    assert (caught.value.path, caught.value.line, caught.value.key) == (str(path), line, key)
    assert says in str(caught.value)


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.toml", b"\xff\xfe", "not UTF-8"),
        ("a.toml", b"#" * (MAX_FILE_BYTES + 1), "larger than 1048576 bytes"),
        ("a.json", b"[" * 100_000, "nested too deeply"),
        ("a.toml", b"a = " + b"[" * 100_000, "nested too deeply"),
        ("a.yaml", b"[" * 3_000, "nested too deeply"),
    ],
)
def test_a_file_that_no_configuration_can_be_is_refused(
    name: str, content: bytes, says: str, tmp_path: Path
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=says):
        load_config(path)


def test_a_file_that_may_not_be_opened_is_refused_without_a_traceback(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        read_file(tmp_path)


def test_a_byte_order_mark_and_windows_line_ends_are_read_over(tmp_path: Path) -> None:
    path = tmp_path / "resilient.toml"
    path.write_bytes(b"\xef\xbb\xbfversion = 1\r\n\r\nversoin = 1\r\n")
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    assert caught.value.line == 3
