"""Switches telemetry and redaction on as the configuration file says."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from resilient_ai.config.build import file_path, resolved
from resilient_ai.config.secrets import KeyLookup, look_up
from resilient_ai.errors import ConfigError

if TYPE_CHECKING:
    from resilient_ai.config.file import Config
    from resilient_ai.telemetry.audit.options import Audit
    from resilient_ai.telemetry.observation import Observation

_FILES = frozenset({"log_file", "span_file"})


def observe_config(config: Config, *, keys: KeyLookup = look_up) -> Observation:
    """Switches telemetry on for every call of this process, as `[telemetry]`, `[audit]` and `[privacy]` say.

    What the file leaves out has the default of `observe()`. Asked again with the same settings it answers with the same
    observation.

    Raises:
        ConfigError: An extra is missing, a secret is not where it should be, or settings contradict each other; with the line.
        OSError: A file cannot be opened, the port is taken, or a required audit trail cannot be written.
    """
    from resilient_ai.telemetry.setup import config_loaded, observe

    apply_privacy(config, keys=keys)
    written = dict(config.tables.get("telemetry", {}))
    arguments: dict[str, Any] = {
        key: file_path(config, str(value)) if key in _FILES else value for key, value in written.items()
    }
    if arguments.get("logs") == "off":
        arguments["logs"] = None
    audit = audit_options(config, keys=keys)
    if audit is not None:
        arguments["audit"] = audit
    try:
        observation = observe(**arguments)
    except ConfigError as error:
        table = "audit" if error.key == "file" else "telemetry"
        raise config.source.error(str(error), (table,), suggestion=error.suggestion) from None
    config_loaded(
        source=config.path.name, policy=config.digest, chains=len(config.chains), models=len(config.models)
    )
    return observation


def audit_options(config: Config, *, keys: KeyLookup = look_up) -> Audit | None:
    """The audit trail that `[audit]` asks for, or None if there is no such table.

    Raises:
        ConfigError: The key is not where it should be, or too short; with the line.
    """
    table = config.tables.get("audit")
    if table is None:
        return None
    from resilient_ai.telemetry.audit.options import Audit

    key = resolved(table["key"], ("audit", "key"), config, keys) if "key" in table else None
    try:
        return Audit(
            file_path(config, table["file"]),
            key,
            table.get("fsync", "never"),
            required=table.get("required", False),
        )
    except ConfigError as error:
        raise config.source.error(str(error), ("audit", "key")) from None


def check_audit(config: Config) -> None:
    """Refuses to go on without an audit trail where the file demands one.

    Raises:
        ConfigError: `[audit]` is required, and `observe_config` has not begun a trail; with the line.
    """
    if config.tables.get("audit", {}).get("required", False):
        import sys

        setup = sys.modules.get("resilient_ai.telemetry.setup")
        if setup is None or not setup.auditing():
            raise config.source.error(
                "no call may be made without an audit trail, and none is kept: call observe_config(load_config(...)) "
                "before the first chain is built.",
                ("audit", "required"),
            )


def apply_privacy(config: Config, *, keys: KeyLookup = look_up) -> None:
    """Makes the redactors of this process know what `[privacy]` names.

    Raises:
        ConfigError: A secret is not where it should be; with the line.
    """
    from resilient_ai.privacy import redact_handlers

    privacy = config.tables.get("privacy", {})
    for index, reference in enumerate(privacy.get("known_values", [])):
        resolved(reference, ("privacy", "known_values", index), config, keys)
    if privacy.get("redact_logging", False):
        redact_handlers(logging.getLogger().handlers)
