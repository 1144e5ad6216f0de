"""Names that a part carries from an answer back into the next request."""

from typing import Final

SYSTEM: Final = "resilient_ai"
"""What the model calls itself, and whose private state the parts of its answers carry."""
FORMAT: Final = "pydantic-ai"
"""The format of content that only pydantic-ai has: no model speaks it."""
STATE: Final = "state"
"""In `provider_details` of a part: a provider's private state (a signature), to send back unchanged."""
