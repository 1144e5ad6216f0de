"""The rules and panels against the library itself: an outage, scraped; and a real Prometheus that watches one come and go."""

from __future__ import annotations

import http.client
import json
import re
import shutil
import socket
import subprocess
import urllib.parse
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, final

import pytest
from prometheus_client.parser import text_string_to_metric_families

from outage import play_outage
from resilient_ai import ResilientModel, observe
from resilient_ai.core.clock import SYSTEM_CLOCK
from resilient_ai.models import canned
from resilient_ai.operate import files
from resilient_ai.operate.board import board
from resilient_ai.operate.kit import write
from resilient_ai.operate.rules import Terms
from resilient_ai.policies.breaker import Breaker
from resilient_ai.policies.retry import Retry
from resilient_ai.policies.timeouts import Timeouts

PROMETHEUS: Final = shutil.which("prometheus")
SELECTOR: Final = re.compile(r"\b([a-zA-Z_]\w*)\{([^{}]*)\}")
MATCHER: Final = re.compile(r'(\w+)(=~|!~|!=|=)"((?:[^"\\]|\\.)*)"')
HOLDS: Final[Mapping[str, Callable[[str, str], bool]]] = {
    "=": lambda found, wanted: found == wanted,
    "!=": lambda found, wanted: found != wanted,
    "=~": lambda found, wanted: re.fullmatch(wanted, found) is not None,
    "!~": lambda found, wanted: re.fullmatch(wanted, found) is None,
}


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


def fetch(port: int, path: str) -> str:
    connection = http.client.HTTPConnection("localhost", port, timeout=5)
    try:
        connection.request("GET", path)
        return connection.getresponse().read().decode()
    finally:
        connection.close()


Scraped = Mapping[str, list[Mapping[str, str]]]


@pytest.fixture(scope="module")
def scraped() -> Scraped:
    """Labels of each series of each metric after the outage, as Prometheus would read them."""
    port = free_port()
    with observe(logs=None, spans=False, prometheus_port=port):
        play_outage()
        page = fetch(port, "/metrics")
    found: dict[str, list[Mapping[str, str]]] = defaultdict(list)
    for family in text_string_to_metric_families(page):
        for sample in family.samples:
            found[sample.name].append(sample.labels)
    return found


def expressions() -> Iterator[tuple[str, str]]:
    terms = Terms()
    for group in files.groups(terms):
        yield from ((one.name, one.expression) for one in group.recordings)
        for alert in group.alerts:
            yield alert.name, alert.expression
            yield from ((f"{alert.name}: {what}", query) for what, query in alert.ask)
    document: Any = board(terms)
    for panel in document["panels"]:
        for target in panel.get("targets", []):
            yield f"panel {panel['title']!r} {target['refId']}", target["expr"]


@pytest.mark.parametrize(("where", "expression"), [*expressions()], ids=lambda value: str(value)[:60])
def test_every_metric_and_label_a_rule_or_panel_names_is_there_in_an_outage(
    scraped: Scraped, where: str, expression: str
) -> None:
    """A selector finds at least one series: the metric, every label, and the very value it compares with."""
    labels_found: set[str] = {"job", "le", "instance"}
    for metric, conditions in SELECTOR.findall(expression):
        if ":" in metric or metric == "ALERTS" or f":{metric}" in expression:
            continue
        matchers = [
            (label, sign, value.replace("\\\\", "\\"))
            for label, sign, value in MATCHER.findall(conditions)
            if not value.startswith("$")
        ]
        series = scraped.get(metric, [])
        assert series, f"{where}: nothing is called {metric}"
        labels_found |= {label for one in series for label in one}
        assert any(
            all(HOLDS[sign](one.get(label, ""), value) for label, sign, value in matchers) for one in series
        ), f"{where}: no series of {metric} meets {conditions}"
    if "job_" not in expression:
        kept = {label for by in re.findall(r"by \(([^)]*)\)", expression) for label in by.split(", ")}
        assert kept <= labels_found, where


def test_every_metric_of_ours_in_a_scrape_is_spelled_as_the_rules_spell_it(scraped: Scraped) -> None:
    from resilient_ai.operate import promql
    from resilient_ai.telemetry import names

    spelled = {
        promql.spelled(row.name, part)
        for row in names.METRICS
        for part in (("bucket", "count", "sum") if row.instrument == "histogram" else ("",))
    }
    ours = {name for name in scraped if name.startswith(("resilient_ai_", "gen_ai_"))}
    assert ours <= spelled
    assert len(ours) > 20


@final
class Prometheus:
    """A Prometheus on this machine that watches one port and evaluates the rules several times a second."""

    def __init__(self, folder: Path, watched: int, terms: Terms) -> None:
        write(folder, terms)
        self._port = free_port()
        config = folder / "prometheus.yml"
        config.write_text(
            "global: {scrape_interval: 200ms, scrape_timeout: 200ms, evaluation_interval: 200ms}\n"
            f"rule_files: [{files.RULES_FILE}]\n"
            "scrape_configs:\n"
            f'  - {{job_name: shop, static_configs: [{{targets: ["localhost:{watched}"]}}]}}\n'
        )
        self._log = (folder / "prometheus.log").open("w")
        self._process = subprocess.Popen(
            [
                str(PROMETHEUS),
                f"--config.file={config}",
                f"--storage.tsdb.path={folder / 'data'}",
                f"--web.listen-address=localhost:{self._port}",
            ],
            stdout=self._log,
            stderr=self._log,
        )

    def ready(self) -> bool:
        assert self._process.poll() is None, "Prometheus ended"
        try:
            return "is Ready" in fetch(self._port, "/-/ready")
        except OSError:
            return False

    def firing(self) -> set[str]:
        answer = json.loads(fetch(self._port, "/api/v1/alerts"))
        return {
            alert["labels"]["alertname"] for alert in answer["data"]["alerts"] if alert["state"] == "firing"
        }

    def ask(self, query: str) -> list[Any]:
        parameters = urllib.parse.urlencode({"query": query})
        result: list[Any] = json.loads(fetch(self._port, f"/api/v1/query?{parameters}"))["data"]["result"]
        return result

    def close(self) -> None:
        self._process.terminate()
        self._process.wait(10)
        self._log.close()


PACE: Final = 1 / 300
"""Five minutes last a second. Several scrapes still fall into every range."""
PATIENCE: Final = 12.0
"""Seconds one phase may take; each ends as soon as what it waits for is there, after 2 to 4."""


@pytest.mark.skipif(
    PROMETHEUS is None, reason="prometheus is not installed: the rules in a real one are NOT TESTED"
)
def test_a_real_prometheus_sees_an_outage_come_and_go(tmp_path: Path) -> None:
    """The same rules, with every duration a three-hundredth of what it is."""
    well = True

    def remote(_: str) -> str:
        if well:
            return "From the first model."
        raise ConnectionResetError

    port = free_port()
    chain = ResilientModel(
        [remote, canned("From the stand-in.")],
        name="support",
        deadline=2,
        timeouts=Timeouts(connect=0.5, attempt=0.5),
        retry=Retry(attempts=2, base=0.001, cap=0.002),
        breaker=Breaker(window=1, open_for=0.2, open_for_max=0.4, consecutive=3),
    )
    watched = {"ResilientAIDegraded", "ResilientAIBreakerOpen"}
    seen: set[str] = set()
    with observe(logs=None, spans=False, prometheus_port=port), chain:
        prometheus = Prometheus(tmp_path, port, Terms(pace=PACE))

        def call_until(reached: Callable[[], bool], what: str) -> None:
            """Users call, again and again; between the calls somebody looks."""
            until = SYSTEM_CLOCK.now() + PATIENCE
            while SYSTEM_CLOCK.now() < until:
                for _ in range(5):
                    chain.generate("Where is my parcel?")
                if reached():
                    seen.update(prometheus.firing())
                    return
                SYSTEM_CLOCK.sleep(0.05)
            raise AssertionError(f"{what}: not within {PATIENCE} s; firing are {sorted(prometheus.firing())}")

        try:
            call_until(prometheus.ready, "Prometheus starts")
            call_until(
                lambda: bool(prometheus.ask("job_chain:resilient_ai_request_degraded:ratio_rate5m")),
                "shares are recorded",
            )
            assert prometheus.firing().isdisjoint(watched)
            well = False
            call_until(lambda: watched <= prometheus.firing(), "the outage is noticed")
            document: Any = board(Terms())
            shown = {
                panel["title"]: sum(len(prometheus.ask(_now(target["expr"]))) for target in panel["targets"])
                for panel in document["panels"]
                if panel["type"] != "row"
            }
            assert {title for title, series in shown.items() if not series} == NOTHING_TO_SHOW
            well = True
            call_until(lambda: prometheus.firing().isdisjoint(watched), "the end of it is noticed")
            # Every call was answered: what nobody felt wakes nobody.
            assert not {name for name in seen if "ErrorBudget" in name}
        finally:
            prometheus.close()


NOTHING_TO_SHOW: Final = {
    "Time to the first content of a stream, p95",
    "Answers that do not fit",
    "Alerts a second that only an operator can mend",
    "Tokens a second",
    "Money an hour",
    "Failed calls by kind",
}
"""Panels of what does not happen in this outage: every call is answered, whole, by models without a price."""


def _now(query: str) -> str:
    return query.replace("$__rate_interval", "2s").replace("$job", ".*").replace("$chain", ".*")
