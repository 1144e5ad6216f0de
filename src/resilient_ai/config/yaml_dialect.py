"""The YAML this library reads: plain values by the core schema of YAML 1.2, nothing else.

PyYAML follows YAML 1.1, in which the key `on` is the boolean true, `no` is false and `12:30` is 750. The settings
have a key `on`, so that reading would lose it without a word.

Source: https://yaml.org/spec/1.2.2/#103-core-schema
"""

from __future__ import annotations

import re
from typing import TypeAlias, final

import yaml

_Resolvers: TypeAlias = "dict[str, list[tuple[str, re.Pattern[str]]]]"

_CORE_SCHEMA = (
    ("null", r"~|null|Null|NULL|", ("~", "n", "N", "")),
    ("bool", r"true|True|TRUE|false|False|FALSE", tuple("tTfF")),
    ("int", r"[-+]?[0-9]+", tuple("-+0123456789")),
    ("float", r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", tuple("-+.0123456789")),
)
"""Tag, what a plain scalar of it looks like, and the characters it may begin with (PyYAML looks at those first)."""


def _resolvers() -> _Resolvers:
    table: _Resolvers = {}
    for tag, pattern, beginnings in _CORE_SCHEMA:
        for beginning in beginnings:
            entry = (f"tag:yaml.org,2002:{tag}", re.compile(rf"^(?:{pattern})$"))
            table.setdefault(beginning, []).append(entry)
    return table


@final
class CoreLoader(yaml.SafeLoader):
    """Builds plain values only, from the core schema's tags."""

    yaml_implicit_resolvers = _resolvers()

    def construct_yaml_int(self, node: yaml.ScalarNode) -> int:
        """PyYAML reads a leading zero as octal, as YAML 1.1 did."""
        return int(str(self.construct_scalar(node)))

    def document(self, root: yaml.Node) -> object:
        """The values of the document whose root is `root`."""
        construct: object = self.construct_document(root)  # pyright: ignore[reportUnknownMemberType] - untyped in its stub
        return construct


CoreLoader.add_constructor("tag:yaml.org,2002:int", CoreLoader.construct_yaml_int)
