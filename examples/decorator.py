"""What `@resilient` does for functions an application already has: retries, fallbacks, deadlines, streams, blocks.

    python examples/decorator.py

Prints:

    retried: ABOUT PARCELS, 2 attempts
    fallback: Parcels, in short. (served by shorter)
    typed: 2 topics, still a list
    streamed: one two three
    tightened: 1 s left of 30
    block: refused after 2 failures, try again in 15 s
"""

from __future__ import annotations

from collections.abc import Iterator

from resilient_ai import Breaker, CircuitOpen, Retry, remaining_seconds, resilient, resilient_options
from resilient_ai.testing import ManualClock, SteadyRandom

# Examples neither wait nor throw dice; leave `clock=` and `chance=` out in your code.
clock, chance = ManualClock(), SteadyRandom()
failures = iter([True, False])


@resilient(deadline=10, retry=Retry(attempts=3), clock=clock)
def headline(text: str) -> str:
    if next(failures):
        raise ConnectionError("the vendor hung up")
    return text.upper()


@resilient(retry=Retry(attempts=1), clock=clock)
def summarize(text: str) -> str:
    raise TimeoutError("the large model is too slow today")


@summarize.fallback
def shorter(text: str) -> str:
    return f"{text.rsplit(maxsplit=1)[-1].capitalize()}, in short."


@resilient
def topics(text: str) -> list[str]:
    return text.split()


@resilient
def words(text: str) -> Iterator[str]:
    yield from text.split()


@resilient(deadline=30, clock=clock)
def patient() -> float:
    return remaining_seconds() or 0.0


# A block of somebody else's code: no retry is possible there, but everything else is.
vendor = resilient(name="vendor", deadline=5, breaker=Breaker(consecutive=2), clock=clock, chance=chance)


def call_vendor() -> str:
    with vendor:
        raise ConnectionError("down")


def main() -> None:
    text = headline("about parcels")
    outcome = headline.resilience.last_outcome()
    print(f"retried: {text}, {len(outcome.attempts) if outcome else 0} attempts")

    text = summarize("about parcels")
    outcome = summarize.resilience.last_outcome()
    print(f"fallback: {text} (served by {outcome.served_by if outcome else None})")

    found = topics("parcels refunds")
    print(f"typed: {len(found)} topics, still a {type(found).__name__}")
    print("streamed:", *words("one two three"))

    with resilient_options(deadline=1):
        print(f"tightened: {patient():g} s left of 30")

    for failed in range(9):
        try:
            call_vendor()
        except ConnectionError:
            continue
        except CircuitOpen as refused:
            print(f"block: refused after {failed} failures, try again in {refused.retry_after:.0f} s")
            break


if __name__ == "__main__":
    main()
