"""The three ways in, against a provider that is failing. No key, no network: a server on loopback plays the provider.

    python examples/quickstart.py

Prints:

    1. object: "The keeper of the lighthouse..." from gpt-5.2 after 2 attempts
    2. function: "Try again later." from canned, degraded: True
    3. client: "Try again later." as a ChatCompletion, degraded: True
"""

from __future__ import annotations

import httpx
from openai import OpenAI

from resilient_ai import ResilientModel, Retry, outcome_of, remaining_seconds, resilient, wrap
from resilient_ai.models import OpenAIModel, canned
from resilient_ai.testing import FaultServer

KEY = "key-of-nobody"
SORRY = canned("Try again later.")


def main() -> None:
    with FaultServer() as server:
        recovers = server.url("status:503", times=1)
        stays_down = server.url("status:503")

        # 1. An object that answers. In production: ResilientModel(["openai:gpt-5.2", ..., "on-device:models/triage.gguf"])
        with ResilientModel(
            [OpenAIModel("gpt-5.2", base_url=recovers, api_key=KEY), SORRY], deadline=10
        ) as model:
            reply = model.generate("Who keeps the light?")
        attempts = 0 if reply.outcome is None else len(reply.outcome.attempts)
        print(f'1. object: "{reply.text[:28]}..." from {reply.model} after {attempts} attempts')

        # 2. The same around a function you have. It keeps its name, signature and type.
        @resilient(deadline=10, retry=Retry(attempts=2), fallback=[SORRY])
        def ask(question: str) -> str:
            turns = [{"role": "user", "content": question}]
            body = {"model": "gpt-5.2", "messages": turns}
            answer = httpx.post(f"{stays_down}/chat/completions", json=body, timeout=remaining_seconds())
            answer.raise_for_status()
            return str(answer.json()["choices"][0]["message"]["content"])

        text = ask("Who keeps the light?")
        outcome = ask.resilience.last_outcome()
        assert outcome is not None
        print(f'2. function: "{text}" from {outcome.served_by}, degraded: {outcome.degraded}')

        # 3. The same around the client you have: the same attributes, types and exceptions.
        client = wrap(OpenAI(base_url=stays_down, api_key=KEY), fallback=[SORRY], deadline=10)
        completion = client.chat.completions.create(
            model="gpt-5.2", messages=[{"role": "user", "content": "Who keeps the light?"}]
        )
        outcome = outcome_of(completion)
        assert outcome is not None
        client.close()
        said = completion.choices[0].message.content
        print(f'3. client: "{said}" as a {type(completion).__name__}, degraded: {outcome.degraded}')


if __name__ == "__main__":
    main()
