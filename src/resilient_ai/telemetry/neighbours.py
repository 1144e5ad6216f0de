"""Whether somebody else already counts what a call uses: an instrumentation of the SDK around a wrapped client, or of a framework.

Both would write the same tokens under the same names, and a sum over a trace or over a metric would be twice the bill. The one on the
outside counts then, because it began first and sees what its caller sees; our spans and metrics say the rest.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from opentelemetry import context, trace

from resilient_ai.telemetry import names

_UNDER_WAY: Final = "opentelemetry.genai.client.inference.context"
"""Where OpenTelemetry's own GenAI instrumentations say in the context that an inference is under way, sampled or not.

Source: opentelemetry-util-genai 1.3, `CLIENT_INFERENCE_CONTEXT_KEY`.
"""

_INFERENCES: Final = frozenset({"chat", "generate_content", "text_completion"})
"""Operations that are one answer of one model. An agent's or a workflow's span holds many, and no tokens of its own."""


def counted_already() -> bool:
    """The tokens of a call that begins here are counted by an instrumentation around it.

    Those that leave no word in the context are known by the current span, unless a sampler dropped it.
    """
    if context.get_value(_UNDER_WAY) is not None:
        return True
    span = trace.get_current_span()
    if not span.is_recording():
        return False
    # The API's span can be written and not read; the SDK's can.
    attributes: Mapping[str, object] | None = getattr(span, "attributes", None)
    return attributes is not None and attributes.get(names.OPERATION_NAME) in _INFERENCES
