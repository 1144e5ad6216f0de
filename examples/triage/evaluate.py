"""Measures the model file as it is used: through llama.cpp's HTTP server, in a child process of its own.

``python -m examples.triage.evaluate`` prints the accuracies of ``triage.gguf`` and of the linear baseline; with
``--write`` it also writes them to ``ACCURACY.json``. Every figure carries the number of tickets it was measured on.
"""

import argparse
import json
import os
import secrets
import subprocess
import sys
from collections.abc import Callable, Sequence
from collections.abc import Generator as Yields
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from hashlib import sha256
from http.client import HTTPConnection
from importlib import import_module
from pathlib import Path
from typing import Any, Final, Literal, cast

from examples.triage import linear
from examples.triage.bpe import Tokenizer
from examples.triage.data import PRIORITIES, QUEUES, Generator, Ticket, handwritten

HERE: Final = Path(__file__).parent
MODEL: Final = HERE / "triage.gguf"
SCHEMA: Final = HERE / "schema.json"
NEW_SEED: Final = 100
FILLS_SEED: Final = 101
PHRASINGS_SEED: Final = 102
TIMEOUT: Final = 30.0  # seconds for one answer; a quiet machine needs 0.01

Json = dict[str, object]


class Client:
    """Asks a llama.cpp server on the loopback interface; not safe for concurrent use."""

    def __init__(self, address: str, api_key: str) -> None:
        host, port = address.removeprefix("http://").rsplit(":", 1)
        self._connection = HTTPConnection(host, int(port), timeout=TIMEOUT)
        self._headers = {"Authorization": f"Bearer {api_key}", "Content-Type": "application/json"}

    def close(self) -> None:
        self._connection.close()

    def answer(self, text: str, *, schema: Json | None = None) -> str:
        """The model's answer to one ticket; `schema` constrains it, without one the model is on its own."""
        body: Json = {"messages": [{"role": "user", "content": text}], "temperature": 0, "max_tokens": 32}
        if schema is not None:
            body["response_format"] = {
                "type": "json_schema",
                "json_schema": {"name": "triage", "schema": schema},
            }
        reply = cast("dict[str, list[dict[str, dict[str, str]]]]", self.post("/v1/chat/completions", body))
        return reply["choices"][0]["message"]["content"]

    def post(self, path: str, body: Json) -> Json:
        self._connection.request("POST", path, json.dumps(body), self._headers)
        response = self._connection.getresponse()
        content = response.read()
        if response.status != 200:
            raise RuntimeError(f"{path} answered {response.status}")
        return cast("Json", json.loads(content))


@contextmanager
def serving(model: Path) -> Yields[Client]:
    """Serves a model in a child process, which is gone when the block is left."""
    command = [sys.executable, "-m", "examples.triage.evaluate", "--serve", str(model)]
    # ggml would otherwise answer a failed assertion by starting a debugger that holds our pipe open.
    environment = {**os.environ, "GGML_NO_BACKTRACE": "1", "TRIAGE_API_KEY": secrets.token_urlsafe(24)}
    child = subprocess.Popen(  # noqa: S603 - our own module, started with a path of the caller's choice
        command,
        cwd=HERE.parents[1],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert child.stdout is not None
        address = child.stdout.readline().strip()
        if not address:
            raise RuntimeError(f"the server of {model.name} did not start")
        with closing(Client(address, environment["TRIAGE_API_KEY"])) as client:
            yield client
    finally:
        child.kill()
        child.communicate()


def serve(model: Path) -> None:
    """Runs llama.cpp's server until standard input closes; prints its address when it is ready."""
    xllamacpp: Any = import_module("xllamacpp")  # its type stubs do not name what it exports
    parameters = xllamacpp.CommonParams()
    parameters.model.path = str(model)
    parameters.api_keys = [os.environ["TRIAGE_API_KEY"]]
    parameters.cors_origins, parameters.cors_origins_explicit = "localhost", True
    parameters.n_ctx = 1024
    parameters.n_parallel = 1
    parameters.cpuparams.n_threads = parameters.cpuparams_batch.n_threads = 1
    parameters.cache_ram_mib = 0
    parameters.fit_params = False
    parameters.verbosity = -1
    server = xllamacpp.Server(parameters)
    print(server.listening_address, flush=True)
    sys.stdin.read()


@dataclass(frozen=True, slots=True)
class Score:
    """Shares of tickets, each between 0 and 1.

    Attributes:
        n: The number of tickets measured.
        strict: The answer is an object with the two keys and allowed values, and nothing around it.
        exact: Both fields are right.
        queue: The queue is right.
        priority: The priority is right.
    """

    n: int
    strict: float
    exact: float
    queue: float
    priority: float


def score(answer: Callable[[str], str], tickets: Sequence[Ticket]) -> Score:
    """Asks for every ticket and compares."""
    answers = [parse(answer(ticket.text)) for ticket in tickets]
    pairs = list(zip(answers, tickets, strict=True))

    def share(right: list[bool]) -> float:
        return round(sum(right) / len(right), 4)

    queues = [got is not None and got[0] == ticket.queue for got, ticket in pairs]
    priorities = [got is not None and got[1] == ticket.priority for got, ticket in pairs]
    return Score(
        n=len(tickets),
        strict=share([got is not None for got in answers]),
        exact=share([queue and priority for queue, priority in zip(queues, priorities, strict=True)]),
        queue=share(queues),
        priority=share(priorities),
    )


def parse(answer: str) -> tuple[str, str] | None:
    """Queue and priority of a strict answer, or None for anything else."""
    try:
        value = cast("object", json.loads(answer))
    except ValueError:
        return None
    if not isinstance(value, dict) or set(cast("Json", value)) != {"queue", "priority"}:
        return None
    queue, priority = cast("Json", value)["queue"], cast("Json", value)["priority"]
    return (str(queue), str(priority)) if queue in QUEUES and priority in PRIORITIES else None


def mismatched_tokens(client: Client, model: Path, texts: Sequence[str]) -> int:
    """How many texts llama.cpp splits into other tokens than our tokenizer does with the merges in the file."""
    import gguf

    merges = cast("list[str]", gguf.GGUFReader(model).fields["tokenizer.ggml.merges"].contents())
    tokenizer = Tokenizer((left, right) for left, right in (pair.split(" ") for pair in merges))
    return sum(
        client.post("/tokenize", {"content": text})["tokens"] != tokenizer.encode(text) for text in texts
    )


def measure(answer: Callable[[str], str], split: Literal["train", "ship"], n: int) -> dict[str, Score]:
    """The scores of a build made from `split` on each set of tickets; only ``train`` has unseen phrasings."""
    sets = {
        "new tickets": Generator(NEW_SEED, split).tickets(n),
        "held-out values": Generator(FILLS_SEED, "fills").tickets(n),
        "hand-written": handwritten(),
    }
    if split == "train":
        sets["unseen phrasings"] = Generator(PHRASINGS_SEED, "phrasings").tickets(n)
    return {name: score(answer, tickets) for name, tickets in sets.items()}


def measure_all(model: Path, held_out_build: Path | None, n: int) -> dict[str, dict[str, Score]]:
    """The scores of every build there is."""
    with serving(model) as client:
        scores = {"triage.gguf": measure(client.answer, "ship", n)}
    if held_out_build is not None:
        with serving(held_out_build) as client:
            scores["triage, templates held out"] = measure(client.answer, "train", n)
    scores["linear.npz"] = measure(linear.triage, "ship", n)
    scores["linear, templates held out"] = measure(linear.Linear.learn("train").answer, "train", n)
    return scores


def main() -> None:
    parser = argparse.ArgumentParser(
        description="Measure the accuracy of the triage model and of the baseline."
    )
    parser.add_argument("--model", type=Path, default=MODEL)
    parser.add_argument(
        "--held-out-build", type=Path, help="a model of `train --split train`, for unseen phrasings"
    )
    parser.add_argument("--n", type=int, default=1000, help="tickets in each generated set")
    parser.add_argument("--write", action="store_true", help="write ACCURACY.json")
    parser.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        serve(arguments.serve)
        return

    scores = measure_all(arguments.model, arguments.held_out_build, arguments.n)
    for build, sets in scores.items():
        for name, found in sets.items():
            print(
                f"{build:28} {name:16} n={found.n:<5} exact {found.exact:6.1%}  queue {found.queue:6.1%}  "
                f"priority {found.priority:6.1%}  strict JSON {found.strict:6.1%}"
            )
    if arguments.write:
        content = arguments.model.read_bytes()
        report = {
            "model": {"bytes": len(content), "sha256": sha256(content).hexdigest()},
            "scores": {
                build: {name: asdict(found) for name, found in sets.items()} for build, sets in scores.items()
            },
        }
        (HERE / "ACCURACY.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
