"""Resilience for functions an application already has, and for blocks of code that are nobody's function.

`resilient` gives a function a chain of its own: the function first, its fallbacks behind it, under the same deadline, retries, breaker and
telemetry as a `ResilientModel`. What the function takes and returns is left as it is.
"""

from resilient_ai.decorator.block import Block
from resilient_ai.decorator.decorate import Guard, Resilience, ResilientFunction, resilient

__all__ = ["Block", "Guard", "Resilience", "ResilientFunction", "resilient"]
