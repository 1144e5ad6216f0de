"""Where the state of breakers, budgets and limits lives: in the process, shared by every chain that uses a model."""

from resilient_ai.state.local import ModelState, chain_spending, model_state

__all__ = ["ModelState", "chain_spending", "model_state"]
