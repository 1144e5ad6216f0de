"""Answers questions with a chain of the configuration file, and follows the file when it changes.

    python examples/config/answer.py examples/config/offline.toml "Where is my parcel?"

On SIGHUP the file is read again: as a whole, or not at all.
"""

from __future__ import annotations

import signal
import sys
from types import FrameType

from resilient_ai import ConfigError, ResilientModel
from resilient_ai.config import Config, ConfigSource, observe_config, resilient_model


class Answers:
    """Holds the model in force. `reload` replaces it between two calls; calls under way end on the old one."""

    def __init__(self, path: str, chain: str) -> None:
        self._chain = chain
        self.source = ConfigSource(path)
        self.model = self._build(self.source.current)

    def reload(self) -> bool:
        """Whether the new file is in force."""
        try:
            self.model = self.source.reload(self._build).built
        except ConfigError as error:
            print(f"the configuration stays as it was: {error}", file=sys.stderr)
            return False
        return True

    def on_signal(self, _number: int, _frame: FrameType | None) -> None:
        self.reload()

    def _build(self, config: Config) -> ResilientModel:
        return resilient_model(config, self._chain)


def main(path: str, question: str) -> str:
    answers = Answers(path, "support")
    if hasattr(signal, "SIGHUP"):
        signal.signal(signal.SIGHUP, answers.on_signal)
    with observe_config(answers.source.current):
        return answers.model.generate(question).text


if __name__ == "__main__":
    print(main(sys.argv[1], sys.argv[2]))
