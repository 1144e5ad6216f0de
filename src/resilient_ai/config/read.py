"""Reads one configuration file into plain values, and remembers on which line each of them stands.

TOML, YAML and JSON give the same values for the same settings. What the formats allow beyond that is refused:
a key written twice, YAML anchors, and YAML 1.1's reading of `on`, `no` and `12:30` as something else than text.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast, final

from resilient_ai.config.toml_lines import KeyPath, toml_lines
from resilient_ai.errors import ConfigError

if TYPE_CHECKING:
    import yaml

MAX_FILE_BYTES: Final = 1_048_576
"""A configuration beyond 1 MiB is a wrong file."""

PYPROJECT: Final = "pyproject.toml"
_PYPROJECT_TABLE: Final[KeyPath] = ("tool", "resilient-ai")
_TOML_LINE: Final = re.compile(r"\(at line (\d+), column \d+\)")


@final
@dataclass(frozen=True, slots=True)
class Source:
    """One file as read: its values, and where they stand.

    Attributes:
        path: The file. Relative paths inside it start at its directory.
        data: The values; for pyproject.toml those of `[tool.resilient-ai]`.
        lines: The line of each key, from 1.
    """

    path: Path
    data: Mapping[str, object]
    lines: Mapping[KeyPath, int]

    def line(self, key: KeyPath) -> int | None:
        """The line of `key`, or of the nearest table around it that stands in the file."""
        for length in range(len(key), 0, -1):
            found = self.lines.get(key[:length])
            if found is not None:
                return found
        return None

    def error(self, message: str, key: KeyPath, *, suggestion: str | None = None) -> ConfigError:
        """What is wrong at `key`, with its file and line."""
        dotted = dotted_key(key)
        return ConfigError(
            f"{dotted}: {message}" if dotted else message,
            path=str(self.path),
            line=self.line(key),
            key=dotted or None,
            suggestion=suggestion,
        )


def dotted_key(key: KeyPath) -> str:
    """`key` as a reader writes it: `chains.support.models[1]`; a name with a dot in it stands in quotes."""
    text = ""
    for part in key:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            name = part if re.fullmatch(r"[A-Za-z0-9_$-]+", part) else json.dumps(part)
            text += f".{name}" if text else name
    return text


def read_file(path: Path) -> Source:
    """Reads `path` by its suffix: `.toml`, `.yaml`, `.yml` or `.json`.

    Raises:
        ConfigError: It cannot be read, is not what its suffix says, is too big, or holds a key twice.
    """
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_FILE_BYTES + 1)
        text = raw.decode("utf-8-sig")
    except OSError as error:
        raise ConfigError(f"the file cannot be read: {error.strerror}", path=str(path)) from None
    except UnicodeDecodeError:
        raise ConfigError("the file is not UTF-8 text", path=str(path)) from None
    if len(raw) > MAX_FILE_BYTES:
        raise ConfigError(f"the file is larger than {MAX_FILE_BYTES} bytes", path=str(path))
    suffix = path.suffix.lower()
    try:
        if suffix == ".toml":
            data, lines = _read_toml(text, path)
        elif suffix == ".json":
            data, lines = _read_json(text, path)
        elif suffix in {".yaml", ".yml"}:
            data, lines = _read_yaml(text, path)
        else:
            raise ConfigError("the file's name must end in .toml, .yaml, .yml or .json", path=str(path))
    except RecursionError:
        raise ConfigError("the file is nested too deeply", path=str(path)) from None
    if not isinstance(data, dict):
        raise ConfigError("the file must hold a table of settings at its top", path=str(path), line=1)
    return Source(path, cast("dict[str, object]", data), lines)


def has_pyproject_table(path: Path) -> bool:
    """Whether `path` is a readable TOML file with a `[tool.resilient-ai]` table."""
    try:
        tool: object = tomllib.loads(path.read_text(encoding="utf-8-sig")).get("tool")
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError):
        # Somebody else's file: a broken pyproject.toml is its owner's to report.
        return False
    return isinstance(tool, dict) and "resilient-ai" in tool


def _read_toml(text: str, path: Path) -> tuple[object, dict[KeyPath, int]]:
    try:
        data: object = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        message = str(error)
        place = _TOML_LINE.search(message)
        line = int(place.group(1)) if place else text.count("\n") + 1
        what = message[: place.start()].rstrip() if place else "the file ends too early"
        raise ConfigError(f"not valid TOML: {what}", path=str(path), line=line) from None
    lines = toml_lines(text)
    if path.name != PYPROJECT:
        return data, lines
    for name in _PYPROJECT_TABLE:
        if not isinstance(data, dict) or name not in data:
            raise ConfigError("the file has no [tool.resilient-ai] table", path=str(path))
        data = cast("dict[object, object]", data)[name]
    depth = len(_PYPROJECT_TABLE)
    return data, {key[depth:]: line for key, line in lines.items() if key[:depth] == _PYPROJECT_TABLE}


def _read_json(text: str, path: Path) -> tuple[object, dict[KeyPath, int]]:
    try:
        data: object = json.loads(text)
    except json.JSONDecodeError as error:
        raise ConfigError(f"not valid JSON: {error.msg}", path=str(path), line=error.lineno) from None
    return data, _JsonLines(text, path).scan()


@final
class _JsonLines:
    """Lines of the keys of a text that `json` has accepted."""

    def __init__(self, text: str, path: Path) -> None:
        self.text = text
        self.path = path
        self.at = 0
        self.lines: dict[KeyPath, int] = {}
        self._decode = json.JSONDecoder().raw_decode

    def scan(self) -> dict[KeyPath, int]:
        self._value(())
        return self.lines

    def _value(self, key: KeyPath) -> None:
        opening = self._next()
        if opening == "{":
            self.at += 1
            while self._next() != "}":
                line = self.text.count("\n", 0, self.at) + 1
                member = (*key, str(self._scalar()))
                if member in self.lines:
                    raise _written_twice(self.path, member, line, self.lines[member])
                self.lines[member] = line
                self._next()
                self.at += 1  # the colon
                self._value(member)
                self._skip_comma()
        elif opening == "[":
            self.at += 1
            index = 0
            while self._next() != "]":
                self.lines[(*key, index)] = self.text.count("\n", 0, self.at) + 1
                self._value((*key, index))
                self._skip_comma()
                index += 1
        else:
            self._scalar()
            return
        self.at += 1  # the closing bracket

    def _next(self) -> str:
        while self.text[self.at] in " \t\r\n":
            self.at += 1
        return self.text[self.at]

    def _skip_comma(self) -> None:
        if self._next() == ",":
            self.at += 1

    def _scalar(self) -> object:
        value, self.at = self._decode(self.text, self.at)
        return value


def _read_yaml(text: str, path: Path) -> tuple[object, dict[KeyPath, int]]:
    try:
        import yaml
    except ImportError:
        raise ConfigError(
            "reading YAML needs PyYAML: pip install 'resilient_ai[yaml]'", path=str(path)
        ) from None
    from resilient_ai.config.yaml_dialect import CoreLoader

    loader = CoreLoader(text)
    try:
        root = loader.get_single_node()
        if root is None:
            return {}, {}
        lines: dict[KeyPath, int] = {}
        _yaml_lines(root, (), lines, set(), path)
        return loader.document(root), lines
    except yaml.MarkedYAMLError as error:
        # Only `problem`: the whole text of the error repeats the line of the file it stands on.
        mark = error.problem_mark
        line = mark.line + 1 if mark is not None else None
        raise ConfigError(f"not valid YAML: {error.problem}", path=str(path), line=line) from None
    except ConfigError:
        raise
    except (yaml.YAMLError, ValueError):
        raise ConfigError("not valid YAML", path=str(path)) from None
    finally:
        loader.dispose()


def _yaml_lines(node: yaml.Node, key: KeyPath, lines: dict[KeyPath, int], seen: set[int], path: Path) -> None:
    import yaml

    line = node.start_mark.line + 1
    if id(node) in seen:
        raise ConfigError(
            "YAML anchors are not read here; a chain takes over another one's settings with `extends`",
            path=str(path),
            line=line,
            key=dotted_key(key),
        )
    seen.add(id(node))
    if isinstance(node, yaml.MappingNode):
        for name, value in node.value:
            at = name.start_mark.line + 1
            if not isinstance(name, yaml.ScalarNode) or name.tag != "tag:yaml.org,2002:str":
                raise ConfigError("a key must be text", path=str(path), line=at, key=dotted_key(key) or None)
            member = (*key, name.value)
            if member in lines:
                raise _written_twice(path, member, at, lines[member])
            lines[member] = at
            _yaml_lines(value, member, lines, seen, path)
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            lines[(*key, index)] = value.start_mark.line + 1
            _yaml_lines(value, (*key, index), lines, seen, path)


def _written_twice(path: Path, key: KeyPath, line: int, first: int) -> ConfigError:
    dotted = dotted_key(key)
    return ConfigError(
        f"{dotted}: written twice, first on line {first}", path=str(path), line=line, key=dotted
    )
