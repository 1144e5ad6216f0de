"""Log lines, spans, metrics and the books: observers of what happens in a call.

`observe()` switches them on. The names are loaded when they are first used, so that importing this package imports neither
structlog nor OpenTelemetry.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from resilient_ai.telemetry.audit.options import Audit
    from resilient_ai.telemetry.audit.verify import AuditReport, verify_audit
    from resilient_ai.telemetry.export import JsonLinesSpanExporter, RedactingProcessor, RedactingSpanExporter
    from resilient_ai.telemetry.ledger import Entry, Ledger, Spent
    from resilient_ai.telemetry.log import Log
    from resilient_ai.telemetry.metrics import Metrics
    from resilient_ai.telemetry.observation import MetricPoint, Observation
    from resilient_ai.telemetry.setup import observe
    from resilient_ai.telemetry.spans import Spans

__all__ = [
    "Audit",
    "AuditReport",
    "Entry",
    "JsonLinesSpanExporter",
    "Ledger",
    "Log",
    "MetricPoint",
    "Metrics",
    "Observation",
    "RedactingProcessor",
    "RedactingSpanExporter",
    "Spans",
    "Spent",
    "config_loaded",
    "observe",
    "verify_audit",
]

_HOMES: Final = {
    "Audit": "audit.options",
    "AuditReport": "audit.verify",
    "Entry": "ledger",
    "JsonLinesSpanExporter": "export",
    "Ledger": "ledger",
    "Log": "log",
    "MetricPoint": "observation",
    "Metrics": "metrics",
    "Observation": "observation",
    "RedactingProcessor": "export",
    "RedactingSpanExporter": "export",
    "Spans": "spans",
    "Spent": "ledger",
    "observe": "setup",
    "verify_audit": "audit.verify",
}


def config_loaded(*, source: str, policy: str, chains: int, models: int) -> None:
    """Writes the log line `config.loaded` if telemetry is on; imports nothing if it is not. Never raises.

    Args:
        source: The configuration file's name without its folder, or `code`.
        policy: Digest of the configuration.
        chains: How many chains it defines.
        models: How many models it defines.
    """
    import sys

    setup = sys.modules.get(f"{__name__}.setup")
    if setup is not None:
        setup.config_loaded(source=source, policy=policy, chains=chains, models=models)


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(import_module(f"{__name__}.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
