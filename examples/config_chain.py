"""A chain and its policies kept in a file, used by an object and by a decorated function.

    python examples/config_chain.py

Prints:

    chain support: I cannot look that up just now. Please ask again in a few minutes.
    function: I cannot look that up just now. Please ask again in a few minutes.
    policy: deadline 2 s, from offline.toml
"""

from __future__ import annotations

from pathlib import Path

from resilient_ai import ResilientModel, resilient

FILE = Path(__file__).parent / "config" / "offline.toml"


# The chain's policies, and a model of the file by its name. The file is read at the first call, not at import.
@resilient(chain="support", config=FILE, fallback=["sorry"])
def look_up(question: str) -> str:
    raise ConnectionError("the index is not built yet")


def main() -> None:
    with ResilientModel.from_config(FILE, chain="support") as model:
        print(f"chain support: {model.generate('Where is my parcel?').text}")
        deadline = model.plan.deadline
    print(f"function: {look_up('Where is my parcel?')}")
    assert f"deadline {deadline:g} s" in look_up.resilience.explain()
    print(f"policy: deadline {deadline:g} s, from {FILE.name}")


if __name__ == "__main__":
    main()
