"""How a configuration file writes a duration: `"20s"`, `"500ms"`, `"2m"`, `"1h"`, or a number of seconds."""

from __future__ import annotations

import math
import re
from typing import Final

DURATION_PATTERN: Final = r"^([0-9]+(?:\.[0-9]+)?)[ ]?(ms|s|m|h)$"
"""What a duration written as text looks like; the JSON Schema carries the same pattern."""

_TEXT: Final = re.compile(DURATION_PATTERN)
_SECONDS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


def parse_duration(value: object) -> float:
    """The seconds `value` stands for: a number as it is, a text by its unit.

    Raises:
        ValueError: It is neither, is negative or is not finite. The text does not repeat the value.
    """
    if isinstance(value, str):
        found = _TEXT.fullmatch(value)
        if found is None:
            raise ValueError('expected a duration such as "20s", "500ms" or "2m", or a number of seconds')
        # Through a string, so that "100ms" is 0.1 and not 0.1 with a rounding error in its last digit.
        return round(float(found[1]) * _SECONDS[found[2]], 9)
    if isinstance(value, bool) or not isinstance(value, int | float):
        # TypeError would escape pydantic's error collection; a wrong type in a file is a wrong value to its author.
        raise ValueError('expected a duration such as "20s", or a number of seconds')  # noqa: TRY004
    if not math.isfinite(value) or value < 0:
        raise ValueError("expected a duration that is finite and not negative")
    return float(value)


def format_duration(seconds: float) -> str:
    """`seconds` for a reader: `250 ms`, `20 s`, `2 min`, `1 h 30 min`."""
    if seconds < 1:
        return f"{seconds * 1000:g} ms"
    if seconds < 120 or seconds % 1:
        return f"{round(seconds, 3):g} s"
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    parts = [f"{hours} h" if hours else "", f"{minutes} min" if minutes else "", f"{rest} s" if rest else ""]
    return " ".join(part for part in parts if part)
