"""A chain as a LangChain chat model: `ResilientChatModel(model=ResilientModel([...]))`."""

from resilient_ai.frameworks.contract import require

require("langchain_core", "langchain")

from resilient_ai.frameworks.langchain.chat_model import ResilientChatModel  # noqa: E402 - told first what is missing

__all__ = ["ResilientChatModel"]
