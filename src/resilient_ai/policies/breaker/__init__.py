"""The circuit breaker: a model that fails is left alone for a while, then tried carefully.

`options` says when it opens and for how long, `window` counts, `gate` decides, `mirror` replays state changes into a pybreaker object
so that its listeners and storages keep working. pybreaker's own `call()` is never used: it holds its lock during the call, counts a
cancellation as a failure, lets everybody through when half open, and settles late results against the wrong state.
"""

from resilient_ai.policies.breaker.gate import Change, Gate, Permit
from resilient_ai.policies.breaker.options import Breaker

__all__ = ["Breaker", "Change", "Gate", "Permit"]
