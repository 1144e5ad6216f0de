"""What a `litellm.Router` was configured for, as a chain. The page beside this file maps every setting.

    python examples/migrating_from_litellm.py

Prints:

    The keeper of the lighthouse, from claude-sonnet-5
    sent: 2 to the first provider, 1 to the second
    stop, 57 output tokens
"""

from __future__ import annotations

from resilient_ai import ResilientModel, Retry, Timeouts
from resilient_ai.models import AnthropicModel, OpenAIModel
from resilient_ai.testing import FaultServer

# Before:
#
#   router = litellm.Router(
#       model_list=[
#           {"model_name": "main", "litellm_params": {"model": "openai/gpt-5.2", "api_key": ...}},
#           {"model_name": "backup", "litellm_params": {"model": "anthropic/claude-sonnet-5", "api_key": ...}},
#       ],
#       fallbacks=[{"main": ["backup"]}],
#       num_retries=1,
#       timeout=30,
#   )
#   response = router.completion("main", messages=[{"role": "user", "content": "Who keeps the light?"}])
#   response.choices[0].message.content


def main() -> None:
    with FaultServer() as server:
        first = OpenAIModel(
            "gpt-5.2", base_url=server.url("status:503", session="main"), api_key="key-of-nobody"
        )
        second = AnthropicModel(
            "claude-sonnet-5",
            base_url=server.url("none", dialect="anthropic", session="backup"),
            api_key="key-of-nobody",
        )
        router = ResilientModel(
            [first, second],
            retry=Retry(attempts=2),  # num_retries=1: it counts the first request too
            timeouts=Timeouts(attempt=30),
            deadline=60,  # new: over all attempts and models
        )
        with router:
            reply = router.generate([{"role": "user", "content": "Who keeps the light?"}])
        print(f"{reply.text[:28]}, from {reply.model}")
        sent = [len(server.requests(session)) for session in ("main", "backup")]
        print(f"sent: {sent[0]} to the first provider, {sent[1]} to the second")
        print(f"{reply.finish_reason}, {reply.usage.output_tokens} output tokens")


if __name__ == "__main__":
    main()
