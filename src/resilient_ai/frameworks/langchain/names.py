"""Names that a message carries from an answer back into the next request."""

from typing import Final

FORMAT: Final = "langchain"
"""The format of a block that only LangChain has: no model speaks it."""
CALL_STATE: Final = "tool_call_state"
"""In `additional_kwargs`: a provider's private state of a tool call (a thought signature), by the call's identifier."""
