"""As much of Grafana's dashboard format as our dashboard needs: panels in rows, laid out from left to right.

The classic JSON model, which every Grafana since 10 reads and the later ones convert.
Source: https://github.com/grafana/grafana, kinds/dashboard/dashboard_kind.cue.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias, final

Json: TypeAlias = "str | int | float | bool | None | Sequence[Json] | Mapping[str, Json]"

SCHEMA_VERSION: Final = 39
"""Of Grafana 10.4 and 11. A newer Grafana migrates it when it is loaded."""
COLUMNS: Final = 24
HEIGHT: Final = 8

SOURCE: Final[Mapping[str, Json]] = {"type": "prometheus", "uid": "${datasource}"}
"""The data source the dashboard's variable names: it is chosen where it is looked at, and never in the file."""

Colour: TypeAlias = Literal["green", "yellow", "orange", "red", "blue", "purple", "text"]


@final
@dataclass(frozen=True, slots=True)
class Query:
    """A query of a panel. `legend` is a template over the labels of the result."""

    expression: str
    legend: str


@final
@dataclass(frozen=True, slots=True)
class Panel:
    """A panel of time series, or of states over time.

    Attributes:
        title: What it shows.
        description: What to read from it.
        queries: What is drawn.
        unit: Grafana's identifier of the unit.
        columns: Its width; a row has 24.
        stacked: Whether the series add up to a whole.
        limit: A line from which on it is bad, or None.
        states: Text and colour of each number, for states over time instead of lines.
        colours: Colour of a series by its name, where its name says whether it is good.
        most: The largest value the axis shows, or None.
    """

    title: str
    description: str
    queries: tuple[Query, ...]
    unit: str = "short"
    columns: int = 8
    stacked: bool = False
    limit: float | None = None
    states: tuple[tuple[str, Colour], ...] = ()
    colours: tuple[tuple[str, Colour], ...] = ()
    most: float | None = None


@final
@dataclass(frozen=True, slots=True)
class Row:
    """Panels under a heading."""

    title: str
    panels: tuple[Panel, ...]


@final
@dataclass(frozen=True, slots=True)
class Variable:
    """A choice above the dashboard, made from the values of a label. `query` is Grafana's `label_values(...)`."""

    name: str
    label: str
    query: str


def dashboard(
    *, uid: str, title: str, description: str, variables: Sequence[Variable], rows: Sequence[Row], alerts: str
) -> Json:
    """A dashboard.

    Args:
        uid: Its identifier, by which it is replaced when it is imported again.
        title: Its name.
        description: What it is for.
        variables: The choices above it.
        rows: What it shows.
        alerts: PromQL of the alerts that are marked in every panel.
    """
    return {
        "uid": uid,
        "title": title,
        "description": description,
        "tags": ["resilient_ai", "llm"],
        "schemaVersion": SCHEMA_VERSION,
        "version": 1,
        "editable": True,
        "graphTooltip": 1,
        "timezone": "browser",
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "templating": {"list": [_source_variable(), *(_variable(one) for one in variables)]},
        "annotations": {"list": [_annotation(alerts)]},
        "links": [],
        "panels": _laid_out(rows),
    }


def _laid_out(rows: Sequence[Row]) -> list[Json]:
    made: list[Json] = []
    top = 0
    for row in rows:
        place: Json = {"h": 1, "w": COLUMNS, "x": 0, "y": top}
        made.append(
            {
                "id": len(made) + 1,
                "type": "row",
                "title": row.title,
                "collapsed": False,
                "gridPos": place,
                "panels": [],
            }
        )
        top += 1
        left = 0
        for panel in row.panels:
            if left + panel.columns > COLUMNS:
                left, top = 0, top + HEIGHT
            position: Json = {"h": HEIGHT, "w": panel.columns, "x": left, "y": top}
            made.append(_panel(panel, len(made) + 1, position))
            left += panel.columns
        top += HEIGHT
    return made


def _panel(panel: Panel, number: int, position: Json) -> Json:
    states = bool(panel.states)
    return {
        "id": number,
        "type": "state-timeline" if states else "timeseries",
        "title": panel.title,
        "description": panel.description,
        "datasource": SOURCE,
        "gridPos": position,
        "targets": [
            {
                "refId": chr(ord("A") + index),
                "datasource": SOURCE,
                "editorMode": "code",
                "range": True,
                "expr": query.expression,
                "legendFormat": query.legend,
            }
            for index, query in enumerate(panel.queries)
        ],
        "transformations": [],
        "options": _state_options() if states else _line_options(),
        "fieldConfig": {
            "defaults": _state_fields(panel) if states else _line_fields(panel),
            "overrides": [
                {
                    "matcher": {"id": "byName", "options": name},
                    "properties": [{"id": "color", "value": {"mode": "fixed", "fixedColor": colour}}],
                }
                for name, colour in panel.colours
            ],
        },
    }


def _line_options() -> Json:
    return {
        "legend": {
            "displayMode": "table",
            "placement": "bottom",
            "showLegend": True,
            "calcs": ["lastNotNull", "max"],
        },
        "tooltip": {"mode": "multi", "sort": "desc"},
    }


def _line_fields(panel: Panel) -> Json:
    steps: list[Json] = [{"color": "green", "value": None}]
    if panel.limit is not None:
        steps.append({"color": "red", "value": panel.limit})
    fields: dict[str, Json] = {
        "unit": panel.unit,
        "min": 0,
        "color": {"mode": "palette-classic"},
        "thresholds": {"mode": "absolute", "steps": steps},
        "custom": {
            "drawStyle": "line",
            "lineWidth": 1,
            "fillOpacity": 30 if panel.stacked else 5,
            "showPoints": "never",
            "spanNulls": False,
            "stacking": {"mode": "normal" if panel.stacked else "none", "group": "A"},
            "thresholdsStyle": {"mode": "off" if panel.limit is None else "dashed"},
        },
    }
    if panel.most is not None:
        fields["max"] = panel.most
    return fields


def _state_options() -> Json:
    return {
        "mergeValues": True,
        "showValue": "auto",
        "rowHeight": 0.9,
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True},
        "tooltip": {"mode": "single", "sort": "none"},
    }


def _state_fields(panel: Panel) -> Json:
    options: dict[str, Json] = {
        str(number): {"text": text, "color": colour, "index": number}
        for number, (text, colour) in enumerate(panel.states)
    }
    return {
        "color": {"mode": "thresholds"},
        "thresholds": {"mode": "absolute", "steps": [{"color": "text", "value": None}]},
        "mappings": [{"type": "value", "options": options}],
        "custom": {"lineWidth": 0, "fillOpacity": 70},
    }


def _source_variable() -> Json:
    return {
        "name": "datasource",
        "label": "Data source",
        "type": "datasource",
        "query": "prometheus",
        "hide": 0,
        "includeAll": False,
        "multi": False,
        "skipUrlSync": False,
    }


def _variable(variable: Variable) -> Json:
    return {
        "name": variable.name,
        "label": variable.label,
        "type": "query",
        "datasource": SOURCE,
        "query": {"query": variable.query, "refId": variable.name},
        "definition": variable.query,
        "refresh": 2,
        "sort": 1,
        "hide": 0,
        "includeAll": True,
        "allValue": ".*",
        "multi": True,
        "skipUrlSync": False,
        "current": {"text": ["All"], "value": ["$__all"]},
    }


def _annotation(alerts: str) -> Json:
    return {
        "name": "Alerts",
        "datasource": SOURCE,
        "enable": True,
        "hide": False,
        "iconColor": "red",
        "expr": alerts,
        "step": "60s",
        "titleFormat": "{{alertname}}",
        "textFormat": "{{severity}}",
        "useValueForTime": False,
    }
