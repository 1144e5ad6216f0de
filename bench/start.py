"""From nothing to the first answer: each contender is a whole program, and all of its CPU time counts, the interpreter's included."""

from __future__ import annotations

from typing import Final

from bench.harness import Scenario

PYTHON: Final = "bare interpreter"
OPENAI: Final = "openai SDK"
OURS: Final = "resilient_ai"

_IMPORTS: Final = {
    PYTHON: "",
    OURS: "import resilient_ai",
    OPENAI: "import openai",
    "httpx": "import httpx",
}
_OUR_CHAIN: Final = """
from resilient_ai import ResilientModel
from resilient_ai.models import OpenAIModel
url = f"http://127.0.0.1:{sys.argv[1]}/ok/v1"
chain = ResilientModel([OpenAIModel("gpt-x", base_url=url, api_key="sk-not-a-key")])
"""
_OPENAI_CLIENT: Final = """
from openai import OpenAI
client = OpenAI(base_url=f"http://127.0.0.1:{sys.argv[1]}/ok/v1", api_key="sk-not-a-key")
"""
_BUILT: Final = {PYTHON: "", OURS: _OUR_CHAIN, OPENAI: _OPENAI_CLIENT}
_ANSWERED: Final = {
    PYTHON: "",
    OURS: _OUR_CHAIN + 'assert chain.generate("Where is my parcel?").text\n',
    "resilient_ai, observed": "from resilient_ai import observe\nobserve(log_file='/dev/null', snapshot=True)\n"
    + _OUR_CHAIN
    + 'assert chain.generate("Where is my parcel?").text\n',
    OPENAI: _OPENAI_CLIENT
    + 'asked = [{"role": "user", "content": "Where is my parcel?"}]\n'
    + 'assert client.chat.completions.create(model="gpt-x", messages=asked).choices[0].message.content\n',
}


def _timed(programs: dict[str, str]) -> dict[str, str]:
    return {
        name: f"import sys\n{text}\nimport time\nprint(time.process_time() * 1e3)"
        for name, text in programs.items()
    }


def _counted(programs: dict[str, str]) -> dict[str, str]:
    return {name: f"import sys\n{text}\nprint(len(sys.modules))" for name, text in programs.items()}


SCENARIOS: Final = (
    Scenario("start-import", "the import", "ms", OPENAI, _timed(_IMPORTS)),
    Scenario("start-modules", "modules after the import", "modules", OPENAI, _counted(_IMPORTS)),
    Scenario("start-build", "a client or chain is built", "ms", OPENAI, _timed(_BUILT)),
    Scenario("start-answer", "the first answer is there", "ms", OPENAI, _timed(_ANSWERED)),
    Scenario(
        "start-answer-modules", "modules after the first answer", "modules", OPENAI, _counted(_ANSWERED)
    ),
)
