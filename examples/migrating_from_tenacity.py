"""From tenacity's `@retry` to `@resilient`: the same strategies, and what was missing around them.

    python examples/migrating_from_tenacity.py

Prints:

    before: 3 attempts, then RetryError
    after: 3 attempts, then the vendor's own ConnectionError
    with a fallback: from the cache
    a bad request: 3 attempts before, 1 after
"""

from __future__ import annotations

import tenacity
from tenacity import retry_if_exception_type, stop_after_attempt, wait_none

from resilient_ai import Retry, resilient

calls = 0


def ask(question: str) -> str:
    """Some client's call, on a bad day."""
    global calls  # noqa: PLW0603 - counts what would have been sent
    calls += 1
    raise ConnectionError("the vendor hung up")


class BadRequest(Exception):
    """How SDKs say that the request itself is wrong."""

    status_code = 400


def ask_wrongly(question: str) -> str:
    global calls  # noqa: PLW0603 - as above
    calls += 1
    raise BadRequest


def from_cache(question: str) -> str:
    return "from the cache"


def counted() -> int:
    """Calls since the last time."""
    global calls
    calls, so_far = 0, calls
    return so_far


# Before. Every exception is retried, bugs and bad requests too; there is no deadline over it all; callers must know RetryError.
before = tenacity.retry(stop=stop_after_attempt(3), wait=wait_none())(ask)

# After. Strategies carry over as they are; they decide together with what the failure is, the deadline, and the shared retry budget.
after = resilient(
    deadline=10,
    retry=Retry(stop=stop_after_attempt(3), wait=wait_none(), retry=retry_if_exception_type(ConnectionError)),
)(ask)

# In place of `retry_error_callback`: another function of the same arguments, under the same deadline.
with_fallback = resilient(retry=Retry(attempts=2, wait=wait_none()), fallback=[from_cache])(ask)

# In place of `for attempt in Retrying(...): with attempt:` decorate a function: a block cannot be run again from outside.


def main() -> None:
    try:
        before("q")
    except tenacity.RetryError as error:
        print(f"before: {counted()} attempts, then {type(error).__name__}")
    try:
        after("q")
    except ConnectionError as error:
        print(f"after: {counted()} attempts, then the vendor's own {type(error).__name__}")
    print(f"with a fallback: {with_fallback('q')}")
    counted()

    tries: list[int] = []
    for decorate in (tenacity.retry(stop=stop_after_attempt(3), wait=wait_none()), resilient(deadline=10)):
        try:
            decorate(ask_wrongly)("q")
        except (tenacity.RetryError, BadRequest):
            tries.append(counted())
    print(f"a bad request: {tries[0]} attempts before, {tries[1]} after")


if __name__ == "__main__":
    main()
