"""A chain as a LlamaIndex LLM: `Settings.llm = ResilientLLM(model=ResilientModel([...]))`."""

from resilient_ai.frameworks.contract import require

require("llama_index.core", "llama-index")

from resilient_ai.frameworks.llama_index.llm import ResilientLLM  # noqa: E402 - told first what is missing

__all__ = ["ResilientLLM"]
