"""The rules as Prometheus itself reads them: its own checker, and its own unit tests."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from resilient_ai.core.failure import MEANINGS
from resilient_ai.errors import ConfigError
from resilient_ai.operate import files
from resilient_ai.operate.burn import BURNS, NOT_OURS
from resilient_ai.operate.kit import write
from resilient_ai.operate.rules import Alert, Terms

PROMTOOL = shutil.which("promtool")
WITH_PROMTOOL = pytest.mark.skipif(
    PROMTOOL is None, reason="promtool is not installed: the rules are NOT TESTED; install prometheus"
)
ALERTS = files.alerts(Terms())


def promtool(*arguments: str, folder: Path) -> str:
    done = subprocess.run(
        [str(PROMTOOL), *arguments], cwd=folder, capture_output=True, text=True, check=False, timeout=150
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@WITH_PROMTOOL
@pytest.mark.parametrize("slo", [0.94, 0.995, 0.9999])
def test_prometheus_accepts_the_rules_for_any_objective(tmp_path: Path, slo: float) -> None:
    write(tmp_path, Terms(slo=slo))
    assert "25 rules found" in promtool("check", "rules", files.RULES_FILE, folder=tmp_path)


@WITH_PROMTOOL
@pytest.mark.timeout(180)
def test_every_alert_fires_where_it_must_and_is_silent_where_it_must_not(tmp_path: Path) -> None:
    """Over up to six hours of samples a minute apart, each evaluated: the slowest test here, and the one that matters."""
    write(tmp_path, Terms())
    assert "SUCCESS" in promtool("test", "rules", files.TESTS_FILE, folder=tmp_path)


@WITH_PROMTOOL
@pytest.mark.parametrize("slo", [0.94, 0.9999])
def test_the_tests_follow_the_objective(tmp_path: Path, slo: float) -> None:
    write(tmp_path, Terms(slo=slo))
    path = tmp_path / files.TESTS_FILE
    document = yaml.safe_load(path.read_text())
    document["tests"] = [test for test in document["tests"] if "Burn1h" in test["name"]]
    assert len(document["tests"]) == 3
    path.write_text(yaml.safe_dump(document))
    assert "SUCCESS" in promtool("test", "rules", files.TESTS_FILE, folder=tmp_path)


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert.name)
def test_an_alert_has_a_firing_and_a_silent_case_and_a_runbook(alert: Alert) -> None:
    assert alert.firing.labels is not None
    assert [case.labels for case in alert.silent] == [None] * len(alert.silent) != []
    text = files.tests_text(Terms())
    assert f"{alert.name} fires: {alert.firing.title}" in text
    assert all(f"{alert.name} is silent: {case.title}" in text for case in alert.silent)
    page = files.runbook_text(alert)
    assert page.startswith(f"# {alert.name}\n")
    assert alert.expression in page
    assert alert.steps[0] in page


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert.name)
def test_a_summary_names_its_labels_only(alert: Alert) -> None:
    assert "$labels" in alert.annotated()
    told = alert.told(alert.firing.labels or {}, alert.firing.value)
    assert "{" not in told
    assert all(value in told for value in (alert.firing.labels or {}).values())


def test_the_burn_rates_are_those_of_the_workbook() -> None:
    hours = [(burn.factor, burn.long / 3600, burn.short / 60, burn.severity) for burn in BURNS]
    assert hours == [(14.4, 1, 5, "page"), (6, 6, 30, "page"), (3, 24, 120, "ticket"), (1, 72, 360, "ticket")]
    for burn in BURNS:
        assert burn.long == 12 * burn.short


def test_what_is_not_counted_against_the_service_says_nothing_of_a_models_health() -> None:
    assert all(MEANINGS[kind].health == "neutral" for kind in MEANINGS if kind.value in NOT_OURS)


def test_the_runbooks_are_linked_under_the_address_they_are_read_at() -> None:
    text = files.rules_text(Terms(runbooks="https://wiki.example.com/llm/"))
    for alert in ALERTS:
        assert f'runbook_url: "https://wiki.example.com/llm/{alert.name}.md"' in text


@pytest.mark.parametrize("slo", [0.0, 0.5, 0.93, 1.0, 1.5])
def test_an_objective_no_alert_can_watch_is_refused(slo: float) -> None:
    with pytest.raises(ConfigError, match=r"must be a share above 0\.931") as caught:
        Terms(slo=slo)
    assert caught.value.key == "slo"
