"""The page on failures shows the verdict table in force."""

from __future__ import annotations

from pathlib import Path

from resilient_ai.core.failure import MEANINGS

PAGE = Path(__file__).parents[3] / "docs" / "failures.md"


def test_the_verdict_table_in_the_docs_is_the_one_in_the_code() -> None:
    text = PAGE.read_text("utf-8")
    table = text.partition("<!-- verdicts: begin")[2].partition("-->")[2].partition("<!-- verdicts: end")[0]
    rows = [line for line in table.strip().splitlines() if line.startswith("| `")]
    assert rows == [
        f"| `{kind.value}` | {_times(retry=meaning.retry, most=meaning.max_retries)} | {_yes(allowed=meaning.next_model)} "
        f"| {meaning.health} | {_yes(allowed=meaning.alert)} |"
        for kind, meaning in MEANINGS.items()
    ]


def _times(*, retry: bool, most: int | None) -> str:
    if not retry:
        return "no"
    return "yes" if most is None else "once" if most == 1 else f"{most} times"


def _yes(*, allowed: bool) -> str:
    return "yes" if allowed else "no"
