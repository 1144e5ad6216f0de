"""Names that a message carries from an answer back into the next request."""

from typing import Final

FORMAT: Final = "llama-index"
"""The format of a block that only LlamaIndex has: no model speaks it."""
CALL_STATE: Final = "tool_call_state"
"""In `additional_kwargs` of a message: a provider's private state of a tool call, by the call's identifier."""
