"""Every fault there is, by name, and the table of them that people read."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from resilient_ai.testing.fault_server.fault import Fault, Ideal
from resilient_ai.testing.fault_server.faults import body, connect, content, head, load, sse, status, stream
from resilient_ai.testing.fault_server.faults.status import ideal_of

_FAMILIES: Final = (
    load.FAMILY,
    connect.CONNECT,
    connect.TLS,
    head.FAMILY,
    status.FAMILY,
    body.FAMILY,
    stream.FAMILY,
    sse.FAMILY,
    content.FAMILY,
)

CATALOGUE: Final[Mapping[str, Fault]] = {fault.name: fault for family in _FAMILIES for fault in family.faults}
"""All faults by name, family by family."""


def lookup(name: str, argument: str | None = None) -> Fault:
    """The fault of that name, with `argument` in place of its default.

    Raises:
        ValueError: There is none, it takes no argument, or this is not one it can take.
    """
    fault = CATALOGUE.get(name)
    if fault is None:
        near = difflib.get_close_matches(name, CATALOGUE, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"no fault named {name!r}{hint}")
    if argument is None:
        return fault
    if fault.argument is None:
        raise ValueError(f"the fault {name!r} takes no argument")
    if not fault.argument.accepts(argument):
        example = fault.argument
        raise ValueError(
            f"the fault {name!r} takes an argument in {example.unit}, like {example.value!r}; got {argument!r}"
        )
    fault = replace(fault, argument=replace(fault.argument, value=argument))
    if name == "status":
        ideal = ideal_of(int(argument))
        fault = replace(fault, json=ideal, stream=ideal)
    return fault


def ideal_text(fault: Fault) -> str:
    """The ideal as `json / stream`, or one word if they agree."""
    return fault.json.value if fault.json is fault.stream else f"{fault.json} / {fault.stream}"


def markdown_table() -> str:
    """The catalogue as Markdown, a table for each family."""
    lines: list[str] = []
    for family in _FAMILIES:
        lines += [f"### {family.name}", "", "| fault | what the server does | ideal |", "|---|---|---|"]
        for fault in family.faults:
            description = fault.description.replace("|", r"\|")
            lines.append(f"| `{fault.spec}` | {description} | {ideal_text(fault)} |")
        lines.append("")
    return "\n".join(lines)


def plain_list() -> str:
    """The catalogue as text for a terminal."""
    width = max(len(fault.spec) for fault in CATALOGUE.values())
    lines: list[str] = []
    for family in _FAMILIES:
        lines.append(family.name)
        lines += [f"  {f.spec:<{width}}  {f.description} [{ideal_text(f)}]" for f in family.faults]
    return "\n".join(lines) + "\n"


__all__ = ["CATALOGUE", "Fault", "Ideal", "ideal_text", "lookup", "markdown_table", "plain_list"]
