"""On which line of a TOML text each key stands.

`tomllib` tells values, not places. This scanner does the opposite: it reads a text that `tomllib` has already accepted,
so it checks nothing and only has to follow keys, headers, strings, arrays and inline tables.
"""

from __future__ import annotations

import re
import tomllib
from typing import Final, TypeAlias, final

KeyPath: TypeAlias = tuple[str | int, ...]
"""Where a value stands: table keys, and indices for the elements of arrays."""

_BLANK: Final = re.compile(r"[ \t\r\n]*(?:#[^\n]*\n?[ \t\r\n]*)*")
_SPACE: Final = re.compile(r"[ \t]*")
_BARE_KEY: Final = re.compile(r"[A-Za-z0-9_-]+")
_BASIC: Final = re.compile(r'"(?:[^"\\]|\\.)*"')
_LITERAL: Final = re.compile(r"'[^']*'")
# A closing delimiter may be preceded by one or two quotes that belong to the text: take the longest run.
_LONG_BASIC: Final = re.compile(r'"""(?:[^\\]|\\.)*?"""(?:"{0,2})', re.DOTALL)
_LONG_LITERAL: Final = re.compile(r"'''.*?'''(?:'{0,2})", re.DOTALL)
_SCALAR: Final = re.compile(r"[^,\]}#\n]*")


def toml_lines(text: str) -> dict[KeyPath, int]:
    """The line, from 1, of every key, table and array element of `text`, which must be valid TOML."""
    return _Scanner(text.replace("\r\n", "\n")).scan()


@final
class _Scanner:
    """One pass over one text. `at` is the position of the next character to read."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.lines: dict[KeyPath, int] = {}
        # The index of the last element of each array of tables: a header below it continues that element.
        self.last_element: dict[KeyPath, int] = {}
        self._counted_to = 0
        self._line = 1

    def scan(self) -> dict[KeyPath, int]:
        table: KeyPath = ()
        self._skip(_BLANK)
        while self.at < len(self.text):
            if self.text[self.at] == "[":
                table = self._header()
            else:
                self._pair(table)
            self._skip(_BLANK)
        return self.lines

    def _header(self) -> KeyPath:
        line = self._line_here()
        is_array = self.text.startswith("[[", self.at)
        self.at += 2 if is_array else 1
        names = self._dotted()
        self.at += 2 if is_array else 1
        path: KeyPath = ()
        for position, name in enumerate(names, 1):
            path = (*path, name)
            self.lines.setdefault(path, line)
            if is_array and position == len(names):
                self.last_element[path] = self.last_element.get(path, -1) + 1
            if path in self.last_element:
                path = (*path, self.last_element[path])
                self.lines.setdefault(path, line)
        if not is_array:
            # `[a.b]` names `a` in passing; the table's own header is where its author looks for it.
            self.lines[path] = line
        return path

    def _pair(self, table: KeyPath) -> None:
        line = self._line_here()
        path = table
        for name in self._dotted():
            path = (*path, name)
            self.lines.setdefault(path, line)
        self.at += 1  # the equals sign
        self._skip(_SPACE)
        self._value(path)

    def _dotted(self) -> list[str]:
        names: list[str] = []
        while True:
            self._skip(_SPACE)
            names.append(self._key())
            self._skip(_SPACE)
            if not self.text.startswith(".", self.at):
                return names
            self.at += 1

    def _key(self) -> str:
        if self.text[self.at] == "'":
            return self._take(_LITERAL)[1:-1]
        if self.text[self.at] == '"':
            return str(tomllib.loads(f"key = {self._take(_BASIC)}")["key"])
        return self._take(_BARE_KEY)

    def _value(self, path: KeyPath) -> None:
        opening = self.text[self.at]
        if opening == "[":
            self._array(path)
        elif opening == "{":
            self._inline_table(path)
        elif opening == '"':
            self._take(_LONG_BASIC if self.text.startswith('"""', self.at) else _BASIC)
        elif opening == "'":
            self._take(_LONG_LITERAL if self.text.startswith("'''", self.at) else _LITERAL)
        else:
            self._take(_SCALAR)

    def _array(self, path: KeyPath) -> None:
        self.at += 1
        index = 0
        while True:
            self._skip(_BLANK)
            if self.text[self.at] == "]":
                self.at += 1
                return
            self.lines[(*path, index)] = self._line_here()
            self._value((*path, index))
            index += 1
            self._skip(_BLANK)
            if self.text[self.at] == ",":
                self.at += 1

    def _inline_table(self, path: KeyPath) -> None:
        self.at += 1
        while True:
            # TOML 1.1 allows line breaks and comments here; 1.0 has neither, and loses nothing by it.
            self._skip(_BLANK)
            if self.text[self.at] == "}":
                self.at += 1
                return
            self._pair(path)
            self._skip(_BLANK)
            if self.text[self.at] == ",":
                self.at += 1

    def _skip(self, pattern: re.Pattern[str]) -> None:
        self._take(pattern)

    def _take(self, pattern: re.Pattern[str]) -> str:
        found = pattern.match(self.text, self.at)
        if found is None:
            raise ValueError("the text is not valid TOML")
        self.at = found.end()
        return found.group()

    def _line_here(self) -> int:
        self._line += self.text.count("\n", self._counted_to, self.at)
        self._counted_to = self.at
        return self._line
