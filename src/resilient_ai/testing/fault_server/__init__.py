"""A server on loopback that fails like the providers of language models do, by URL.

Standard library only. `FaultServer` is what a test holds; `python -m resilient_ai.testing.fault_server` serves
the same to anything that takes a base URL.
"""

from __future__ import annotations

from resilient_ai.testing.fault_server.fault import Fault, Ideal
from resilient_ai.testing.fault_server.record import ServedRequest
from resilient_ai.testing.fault_server.server import FaultServer

__all__ = ["Fault", "FaultServer", "Ideal", "ServedRequest"]
