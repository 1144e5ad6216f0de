"""The file's tables and the options they stand for name the same settings."""

from __future__ import annotations

import inspect
from dataclasses import fields
from typing import Any, get_args

import pytest

from resilient_ai import models
from resilient_ai.config import schema
from resilient_ai.config.providers import PROVIDERS
from resilient_ai.core.failure import FailureKind
from resilient_ai.core.model import Price
from resilient_ai.policies.breaker import Breaker
from resilient_ai.policies.budget import RetryBudget
from resilient_ai.policies.fallback import FIXED
from resilient_ai.policies.limits import Limits
from resilient_ai.policies.retry import Retry
from resilient_ai.policies.spending import CostCap
from resilient_ai.policies.timeouts import Timeouts

IN_CODE_ONLY = {"wait", "stop", "retry", "listeners", "storage"}
"""Options that are objects: no file can hold them."""


@pytest.mark.parametrize(
    ("table", "options"),
    [
        (schema.RetryTable, Retry),
        (schema.TimeoutsTable, Timeouts),
        (schema.BreakerTable, Breaker),
        (schema.BudgetTable, RetryBudget),
        (schema.LimitsTable, Limits),
        (schema.MaxCostTable, CostCap),
        (schema.PriceTable, Price),
    ],
)
def test_every_option_of_a_policy_can_be_set_in_the_file(table: type[object], options: Any) -> None:
    assert set(table.__annotations__) == {one.name for one in fields(options)} - IN_CODE_ONLY


def test_every_failure_kind_that_may_be_remapped_can_be_remapped_in_the_file() -> None:
    assert set(get_args(schema.KindName)) == {kind.value for kind in FailureKind if kind not in FIXED}


def test_the_telemetry_table_holds_arguments_of_observe() -> None:
    from resilient_ai.telemetry.setup import observe

    in_code_only = {"logger", "tracer_provider", "meter_provider", "clock", "snapshot"}
    in_a_table_of_its_own = {"audit"}
    assert (
        set(schema.TelemetryTable.__annotations__)
        == set(inspect.signature(observe).parameters) - in_code_only - in_a_table_of_its_own
    )


def test_the_audit_table_holds_the_fields_of_audit() -> None:
    from resilient_ai.telemetry import Audit

    assert set(schema.AuditTable.__annotations__) == set(inspect.signature(Audit).parameters)


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_model_takes_every_setting_its_table_may_hold(provider: str) -> None:
    takes = PROVIDERS[provider]
    accepted = set(inspect.signature(getattr(models, takes.factory)).parameters)
    assert set(takes.optional) <= accepted


def test_every_setting_of_a_model_belongs_to_some_provider() -> None:
    known = {key for takes in PROVIDERS.values() for key in (*takes.required, *takes.optional)}
    assert set(schema.ModelTable.__annotations__) == known | {"provider", "options"}
