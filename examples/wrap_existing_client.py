"""Makes the client an application already has resilient, with one line. It runs on loopback: a server that fails stands for the provider.

Prints:
    it fails twice, then answers: ChatCompletion, retries seen by nobody: 2
    it is down: 'Please try again in an hour.' by canned
    its stream breaks before the first word: 'Please try again in an hour.'
    its stream breaks later: APIConnectionError, after 8 chunks
    nobody stands in: RateLimitError after 3 attempts
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

from openai import APIConnectionError, OpenAI, RateLimitError

from resilient_ai import Retry, outcome_of, wrap
from resilient_ai.models import canned
from resilient_ai.testing import FaultServer

QUESTION: Any = [{"role": "user", "content": "Where is my parcel?"}]
LATER = canned("Please try again in an hour.")
QUICK = Retry(attempts=3, base=0.01, cap=0.02)


def main() -> None:
    with FaultServer() as provider, ExitStack() as clients:

        def client(fault: str) -> OpenAI:
            return clients.enter_context(OpenAI(api_key="sk-not-a-key", base_url=provider.url(fault)))

        steady = wrap(client("503-overloaded~2"), retry=QUICK)
        answer = steady.chat.completions.create(model="gpt-5.2", messages=QUESTION)
        outcome = outcome_of(answer)
        retries = len(outcome.attempts) - 1 if outcome else 0
        print(f"it fails twice, then answers: {type(answer).__name__}, retries seen by nobody: {retries}")

        down = wrap(client("status:500"), fallback=[LATER], retry=QUICK, deadline=20)
        answer = down.chat.completions.create(model="gpt-5.2", messages=QUESTION)
        outcome = outcome_of(answer)
        print(f"it is down: {answer.choices[0].message.content!r} by {outcome.served_by if outcome else '?'}")

        broken = wrap(client("error-first-event"), fallback=[LATER], retry=QUICK)
        stream = broken.chat.completions.create(model="gpt-5.2", messages=QUESTION, stream=True)
        text = "".join(chunk.choices[0].delta.content or "" for chunk in stream)
        print(f"its stream breaks before the first word: {text!r}")

        cut = wrap(client("truncated-clean"), fallback=[LATER], retry=QUICK)
        chunks = 0
        try:
            for _ in cut.chat.completions.create(model="gpt-5.2", messages=QUESTION, stream=True):
                chunks += 1
        except APIConnectionError as error:
            print(f"its stream breaks later: {type(error).__name__}, after {chunks} chunks")

        alone = wrap(client("status:429"), retry=QUICK)
        try:
            alone.chat.completions.create(model="gpt-5.2", messages=QUESTION)
        except RateLimitError as error:
            outcome = outcome_of(error)
            attempts = len(outcome.attempts) if outcome else 0
            print(f"nobody stands in: {type(error).__name__} after {attempts} attempts")


if __name__ == "__main__":
    main()
