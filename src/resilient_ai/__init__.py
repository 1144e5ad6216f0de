"""Resilience for AI calls: one deadline that is kept, retries that cannot storm, a breaker per model, and a fallback to the device.

Every name here is loaded at its first use, so that importing the package costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from resilient_ai.adopt import unwrap, wrap
    from resilient_ai.core.classify import classify
    from resilient_ai.core.clock import Clock, Random
    from resilient_ai.core.deadline import remaining_seconds
    from resilient_ai.core.explain import explain_failure
    from resilient_ai.core.failure import FailureKind, Verdict
    from resilient_ai.decorator import resilient
    from resilient_ai.errors import (
        AllModelsFailed,
        BudgetExceeded,
        CallError,
        CircuitOpen,
        ConfigError,
        DeadlineExceeded,
        HopRefused,
        InvalidOutput,
        InvalidRequest,
        ModelError,
        Overloaded,
        ResilientError,
        StreamInterrupted,
    )
    from resilient_ai.health import ChainHealth, ModelHealth
    from resilient_ai.history import outcome_of
    from resilient_ai.messages import (
        Attempt,
        Chunk,
        Image,
        Message,
        Outcome,
        Reasoning,
        Reply,
        Request,
        Skip,
        Text,
        Tool,
        ToolCall,
        ToolResult,
        Usage,
    )
    from resilient_ai.model import ResilientModel
    from resilient_ai.options import resilient_options
    from resilient_ai.policies.breaker import Breaker
    from resilient_ai.policies.budget import RetryBudget
    from resilient_ai.policies.exposure import Privacy
    from resilient_ai.policies.hedge import Hedge
    from resilient_ai.policies.limits import Limits
    from resilient_ai.policies.retry import Retry
    from resilient_ai.policies.spending import CostCap
    from resilient_ai.policies.throttle import Throttle
    from resilient_ai.policies.timeouts import Timeouts
    from resilient_ai.privacy import Redactor, redact, redact_log
    from resilient_ai.runtime.stream import AsyncStream, Stream
    from resilient_ai.telemetry import observe

__version__ = "0.1.0"

_HOMES = {
    "adopt": ("unwrap", "wrap"),
    "core.classify": ("classify",),
    "core.clock": ("Clock", "Random"),
    "core.deadline": ("remaining_seconds",),
    "core.explain": ("explain_failure",),
    "core.failure": ("FailureKind", "Verdict"),
    "decorator": ("resilient",),
    "errors": (
        "AllModelsFailed",
        "BudgetExceeded",
        "CallError",
        "CircuitOpen",
        "ConfigError",
        "DeadlineExceeded",
        "HopRefused",
        "InvalidOutput",
        "InvalidRequest",
        "ModelError",
        "Overloaded",
        "ResilientError",
        "StreamInterrupted",
    ),
    "health": ("ChainHealth", "ModelHealth"),
    "history": ("outcome_of",),
    "messages": (
        "Attempt",
        "Chunk",
        "Image",
        "Message",
        "Outcome",
        "Reasoning",
        "Reply",
        "Request",
        "Skip",
        "Text",
        "Tool",
        "ToolCall",
        "ToolResult",
        "Usage",
    ),
    "model": ("ResilientModel",),
    "options": ("resilient_options",),
    "telemetry": ("observe",),
    "policies.breaker": ("Breaker",),
    "policies.budget": ("RetryBudget",),
    "policies.exposure": ("Privacy",),
    "policies.hedge": ("Hedge",),
    "policies.limits": ("Limits",),
    "policies.retry": ("Retry",),
    "policies.spending": ("CostCap",),
    "policies.throttle": ("Throttle",),
    "policies.timeouts": ("Timeouts",),
    "privacy": ("Redactor", "redact", "redact_log"),
    "runtime.stream": ("AsyncStream", "Stream"),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "AllModelsFailed",
    "AsyncStream",
    "Attempt",
    "Breaker",
    "BudgetExceeded",
    "CallError",
    "ChainHealth",
    "Chunk",
    "CircuitOpen",
    "Clock",
    "ConfigError",
    "CostCap",
    "DeadlineExceeded",
    "FailureKind",
    "Hedge",
    "HopRefused",
    "Image",
    "InvalidOutput",
    "InvalidRequest",
    "Limits",
    "Message",
    "ModelError",
    "ModelHealth",
    "Outcome",
    "Overloaded",
    "Privacy",
    "Random",
    "Reasoning",
    "Redactor",
    "Reply",
    "Request",
    "ResilientError",
    "ResilientModel",
    "Retry",
    "RetryBudget",
    "Skip",
    "Stream",
    "StreamInterrupted",
    "Text",
    "Throttle",
    "Timeouts",
    "Tool",
    "ToolCall",
    "ToolResult",
    "Usage",
    "Verdict",
    "classify",
    "explain_failure",
    "observe",
    "outcome_of",
    "redact",
    "redact_log",
    "remaining_seconds",
    "resilient",
    "resilient_options",
    "unwrap",
    "wrap",
]


def __getattr__(name: str) -> object:
    home = _HOME_OF.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
