"""`observe()`: the one call that switches telemetry on.

Without it nothing is written, no logger is configured and OpenTelemetry is not even imported. With it, observers of every
call of this process write log lines, spans and metrics, and keep the books of what was spent.
"""

from __future__ import annotations

from pathlib import Path

from opentelemetry.metrics import MeterProvider  # noqa: TC002 - annotations stay evaluable, as for our own
from opentelemetry.trace import TracerProvider  # noqa: TC002 - as above

from resilient_ai.core.clock import SYSTEM_CLOCK, Clock
from resilient_ai.core.fork import ChildLock
from resilient_ai.telemetry.audit.options import Audit
from resilient_ai.telemetry.log import LevelName, LogFormat
from resilient_ai.telemetry.observation import Observation, Options
from resilient_ai.telemetry.spans import AttemptSpans

_lock = ChildLock()
_active: Observation | None = None


def observe(
    *,
    logs: LogFormat | None = "json",
    log_file: str | Path | None = None,
    log_level: LevelName = "info",
    logger: object = None,
    spans: bool = True,
    span_file: str | Path | None = None,
    attempt_spans: AttemptSpans = "failed",
    tracer_provider: TracerProvider | None = None,
    metrics: bool = True,
    snapshot: bool = False,
    prometheus_port: int | None = None,
    meter_provider: MeterProvider | None = None,
    otlp: str | bool | None = None,
    audit: Audit | str | Path | None = None,
    currency: str = "USD",
    clock: Clock = SYSTEM_CLOCK,
) -> Observation:
    """Switches telemetry on for every call of this process, until the observation is closed.

    Asked again with the same options it answers with the same observation; with others, the one before is closed first. Neither the
    configuration of `logging` or structlog nor a global OpenTelemetry provider is touched.

    Args:
        logs: Form of the log lines, or None for none.
        log_file: File to append log lines to; standard error if None.
        log_level: Below it no lines are written.
        logger: A logger of the application's to write to instead: of structlog, or of `logging`.
        spans: Whether spans are made.
        span_file: File to append finished spans to, one JSON object a line.
        attempt_spans: Which attempts have spans of their own: `failed` (the first that failed at a model, and those after it),
            `all`, or `none`.
        tracer_provider: Where spans are started; the application's if None.
        metrics: Whether metrics are recorded.
        snapshot: Whether metrics are kept in the process, to be read by `Observation.snapshot`.
        prometheus_port: Port to serve metrics on, for Prometheus to fetch; needs the `[prometheus]` extra.
        meter_provider: Where metrics are recorded; the application's if None.
        otlp: Endpoint to send spans and metrics to by OTLP over HTTP (`http://localhost:4318`), or True for the one the environment
            names; needs the `[otlp]` extra. None leaves it to the `OTEL_*` variables, False is never.
        audit: The audit trail to keep, or the file for one without a key; see `Audit`.
        currency: What the prices of the models are in.
        clock: What log lines are stamped by.

    Raises:
        ConfigError: Options contradict each other, an extra is missing, or the audit file is no audit trail.
        OSError: A file cannot be opened, the port is taken, or a required audit trail cannot be written.
    """
    global _active  # noqa: PLW0603 - the observation in force
    options = Options(
        logs=logs,
        log_file=None if log_file is None else Path(log_file),
        log_level=log_level,
        logger=logger,
        spans=spans,
        span_file=None if span_file is None else Path(span_file),
        attempt_spans=attempt_spans,
        tracer_provider=tracer_provider,
        metrics=metrics,
        snapshot=snapshot,
        prometheus_port=prometheus_port,
        meter_provider=meter_provider,
        otlp=otlp,
        audit=audit if isinstance(audit, Audit | None) else Audit(Path(audit)),
        currency=currency,
        clock=clock,
    )
    with _lock:
        if _active is not None and not _active.closed:
            if _active.options == options:
                return _active
            _active.close()
        _active = Observation(options)
        _active.watch()
        return _active


def config_loaded(*, source: str, policy: str, chains: int, models: int) -> None:
    """Writes the log line `config.loaded`, if telemetry is on. Never raises.

    Args:
        source: The configuration file's name without its folder, or `code`.
        policy: Digest of the configuration.
        chains: How many chains it defines.
        models: How many models it defines.
    """
    observation = _active
    if observation is not None and not observation.closed:
        observation.config_loaded(source=source, policy=policy, chains=chains, models=models)


def auditing() -> bool:
    """An audit trail is kept of the calls of this process."""
    observation = _active
    return observation is not None and not observation.closed and observation.options.audit is not None
