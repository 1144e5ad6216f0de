"""The dashboard as Grafana would read it: its format, its layout, and every query of it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import jsonschema
import pytest
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard

from resilient_ai.operate import files
from resilient_ai.operate.board import _STATE_COLOURS, board
from resilient_ai.operate.rules import Terms
from resilient_ai.operate.yaml_text import Plain, yaml_text
from resilient_ai.telemetry import names

BOARD: Final[Any] = board(Terms())
PANELS: Final[list[Any]] = [panel for panel in BOARD["panels"] if panel["type"] != "row"]


def closed(required: Mapping[str, object], **optional: object) -> dict[str, object]:
    """An object with these fields and no other."""
    return {
        "type": "object",
        "properties": {**required, **optional},
        "required": list(required),
        "additionalProperties": False,
    }


TEXT: Final = {"type": "string", "minLength": 1}
FLAG: Final = {"type": "boolean"}
ANY: Final = {"type": "object"}
SOURCE: Final = closed({"type": {"const": "prometheus"}, "uid": {"const": "${datasource}"}})
PLACE: Final = closed(
    {
        "h": {"type": "integer", "minimum": 1},
        "w": {"type": "integer", "minimum": 1, "maximum": 24},
        "x": {"type": "integer", "minimum": 0, "maximum": 23},
        "y": {"type": "integer", "minimum": 0},
    }
)
FIELDS: Final = closed(
    {"color": closed({"mode": TEXT}, fixedColor=TEXT), "custom": ANY},
    unit=TEXT,
    min={"type": "number"},
    max={"type": "number"},
    mappings={"type": "array", "items": closed({"type": {"const": "value"}, "options": ANY})},
    thresholds=closed(
        {
            "mode": {"enum": ["absolute", "percentage"]},
            "steps": {
                "type": "array",
                "items": closed({"color": TEXT, "value": {"type": ["number", "null"]}}),
            },
        }
    ),
)
PANEL: Final = closed(
    {
        "id": {"type": "integer", "minimum": 1},
        "type": {"enum": ["timeseries", "state-timeline"]},
        "title": TEXT,
        "description": TEXT,
        "datasource": SOURCE,
        "gridPos": PLACE,
        "targets": {
            "type": "array",
            "minItems": 1,
            "items": closed(
                {
                    "refId": {"type": "string", "pattern": "^[A-Z]$"},
                    "datasource": SOURCE,
                    "editorMode": {"const": "code"},
                    "range": {"const": True},
                    "instant": {"const": False},
                    "expr": TEXT,
                    "legendFormat": TEXT,
                }
            ),
        },
        "transparent": FLAG,
        "repeatDirection": {"enum": ["h", "v"]},
        "options": ANY,
        "fieldConfig": closed({"defaults": FIELDS, "overrides": {"type": "array", "items": ANY}}),
    }
)
ROW: Final = closed(
    {
        "id": {"type": "integer", "minimum": 1},
        "type": {"const": "row"},
        "title": TEXT,
        "collapsed": FLAG,
        "gridPos": PLACE,
        "panels": {"type": "array", "maxItems": 0},
    }
)
DASHBOARD: Final = closed(
    {
        "uid": {"type": "string", "minLength": 8, "maxLength": 40},
        "title": TEXT,
        "description": TEXT,
        "tags": {"type": "array", "items": TEXT},
        "schemaVersion": {"type": "integer", "minimum": 36},
        "version": {"type": "integer"},
        "editable": FLAG,
        "graphTooltip": {"enum": [0, 1, 2]},
        "timezone": TEXT,
        "refresh": TEXT,
        "time": closed({"from": TEXT, "to": TEXT}),
        "fiscalYearStartMonth": {"const": 0},
        "templating": closed({"list": {"type": "array", "items": ANY}}),
        "annotations": closed({"list": {"type": "array", "items": ANY}}),
        "panels": {"type": "array", "items": {"anyOf": [PANEL, ROW]}},
    }
)
"""The fields of grafana/grafana, kinds/dashboard/dashboard_kind.cue, that we write, and their types there."""


def queries() -> Iterator[tuple[str, str]]:
    for panel in PANELS:
        for target in panel["targets"]:
            yield panel["title"], target["expr"]


def test_the_dashboard_has_the_fields_of_grafanas_format_and_no_other() -> None:
    jsonschema.validate(BOARD, DASHBOARD)


def test_grafanas_own_reader_finds_all_of_it() -> None:
    """What its types do not know of would be lost when the dashboard is saved again."""
    again = json.loads(JSONEncoder().encode(Dashboard.from_json(BOARD)))
    for mark in again["annotations"]["list"]:
        mark |= {"step": "60s", "titleFormat": "{{alertname}}", "textFormat": "{{severity}}"}
    assert again == BOARD


def test_no_two_panels_overlap_and_none_stands_beside_the_page() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in BOARD["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert taken.isdisjoint(cells), panel["title"]
        assert max(x for x, _ in cells) < 24, panel["title"]
        taken |= cells
    numbers = [panel["id"] for panel in BOARD["panels"]]
    assert numbers == sorted(set(numbers))


def test_each_query_of_a_panel_has_a_letter_of_its_own() -> None:
    for panel in PANELS:
        letters = [target["refId"] for target in panel["targets"]]
        assert len(letters) == len(set(letters)), panel["title"]


def test_a_legend_names_only_labels_the_query_keeps() -> None:
    recorded = {one.name: one for group in files.groups(Terms()) for one in group.recordings}
    for panel in PANELS:
        for target in panel["targets"]:
            named = re.findall(r"\{\{(\w+)\}\}", target["legendFormat"])
            query = target["expr"]
            for name, recording in recorded.items():
                query = query.replace(name, recording.expression)
            kept = {label for by in re.findall(r"by \(([^)]*)\)", query) for label in by.split(", ")}
            assert set(named) <= kept, panel["title"]


def test_every_state_of_a_breaker_has_a_name_and_a_colour() -> None:
    assert set(_STATE_COLOURS) == set(names.BREAKER_STATES)
    (panel,) = [panel for panel in PANELS if panel["type"] == "state-timeline"]
    (mapping,) = panel["fieldConfig"]["defaults"]["mappings"]
    shown = {number: state["text"] for number, state in mapping["options"].items()}
    metric = "resilient_ai_circuit_breaker_state"
    for number, state in shown.items():
        term = f'{number} * {metric}{{job=~"$job",{metric}="{state}"}}'
        assert term in panel["targets"][0]["expr"]


def test_a_recorded_share_a_panel_shows_is_recorded() -> None:
    recorded = {one.name for group in files.groups(Terms()) for one in group.recordings}
    shown = {name for _, query in queries() for name in re.findall(r"\bjob_\w+:\w+:\w+", query)}
    assert shown
    assert shown <= recorded


def test_the_variables_are_those_the_queries_use() -> None:
    names_of_variables = {variable["name"] for variable in BOARD["templating"]["list"]}
    used = {name for _, query in queries() for name in re.findall(r"\$(\w+)", query)} - {"__rate_interval"}
    assert used | {"datasource"} == names_of_variables


@pytest.mark.skipif(
    shutil.which("promtool") is None,
    reason="promtool is not installed: the panels' queries are NOT TESTED; install prometheus",
)
def test_prometheus_can_read_every_query_of_every_panel(tmp_path: Path) -> None:
    expressions = [query for _, query in queries()]
    expressions += [query for alert in files.alerts(Terms()) for _, query in alert.ask]
    expressions += [annotation["expr"] for annotation in BOARD["annotations"]["list"]]
    rules: list[Plain] = [
        {"record": f"panel:{number}", "expr": expression.replace("$__rate_interval", "5m")}
        for number, expression in enumerate(expressions)
    ]
    path = tmp_path / "panels.yml"
    path.write_text(yaml_text({"groups": [{"name": "panels", "rules": rules}]}))
    done = subprocess.run(
        ["promtool", "check", "rules", str(path)],  # noqa: S607 - found on the path just now
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert f"{len(rules)} rules found" in done.stdout
