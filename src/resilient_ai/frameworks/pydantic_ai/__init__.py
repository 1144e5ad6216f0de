"""A chain as a pydantic-ai model: `Agent(ResilientAgentModel(ResilientModel([...])))`."""

from resilient_ai.frameworks.contract import require

require("pydantic_ai", "pydantic-ai")

from resilient_ai.frameworks.pydantic_ai.model import ResilientAgentModel  # noqa: E402 - told first what is missing

__all__ = ["ResilientAgentModel"]
