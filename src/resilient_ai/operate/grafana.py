"""What a dashboard of ours is made of, in our words, and how Grafana's own builders make it.

The format is Grafana's, and so are the builders (grafana-foundation-sdk, the `[operate]` extra): they lay the panels out and write what the
format wants beside what is said here. They are those of Grafana 10.4, whose dashboards every later one reads and converts.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias, TypeVar, final

from resilient_ai.errors import ConfigError

if TYPE_CHECKING:
    from grafana_foundation_sdk.builders import dashboard as build
    from grafana_foundation_sdk.builders import statetimeline, timeseries
    from grafana_foundation_sdk.models import dashboard as made

Json: TypeAlias = "str | int | float | bool | None | Sequence[Json] | Mapping[str, Json]"

_PanelT = TypeVar("_PanelT", "timeseries.Panel", "statetimeline.Panel")

HEIGHT: Final = 8
SOURCE: Final = "${datasource}"
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
) -> Mapping[str, Json]:
    """A dashboard, as the plain data of its JSON file.

    Args:
        uid: Its identifier, by which it is replaced when it is imported again.
        title: Its name.
        description: What it is for.
        variables: The choices above it.
        rows: What it shows.
        alerts: PromQL of the alerts that are marked in every panel.

    Raises:
        ConfigError: grafana-foundation-sdk is not installed.
    """
    try:
        from grafana_foundation_sdk.builders import dashboard as build
        from grafana_foundation_sdk.cog.encoder import JSONEncoder
        from grafana_foundation_sdk.models import dashboard as made
    except ImportError:
        raise ConfigError(
            "the dashboard needs grafana-foundation-sdk: pip install 'resilient_ai[operate]'"
        ) from None
    board = (
        build.Dashboard(title)
        .uid(uid)
        .description(description)
        .tags(["resilient_ai", "llm"])
        .version(1)
        .editable()
        .tooltip(made.DashboardCursorSync.CROSSHAIR)
        .timezone("browser")
        .refresh("30s")
        .time("now-6h", "now")
        .with_variable(
            build.DatasourceVariable("datasource").label("Data source").type("prometheus").multi(multi=False)
        )
        .annotation(_annotation(alerts))
    )
    for variable in variables:
        board.with_variable(_variable(variable))
    number = 0
    for row in rows:
        number += 1
        board.with_row(build.Row(row.title).id(number))
        for panel in row.panels:
            number += 1
            board.with_panel(_states(panel, number) if panel.states else _lines(panel, number))
    document: dict[str, Any] = json.loads(JSONEncoder().encode(board.build()))
    for mark in document["annotations"]["list"]:
        # What only annotations by Prometheus have, and the builders no word for: what is read at a mark.
        mark |= {"step": "60s", "titleFormat": "{{alertname}}", "textFormat": "{{severity}}"}
    return document


def _lines(panel: Panel, number: int) -> timeseries.Panel:
    from grafana_foundation_sdk.builders import common, timeseries
    from grafana_foundation_sdk.builders import dashboard as build
    from grafana_foundation_sdk.models import common as shared
    from grafana_foundation_sdk.models import dashboard as made

    steps = [made.Threshold(color="green")]
    style = shared.GraphThresholdsStyleMode.OFF
    if panel.limit is not None:
        steps.append(made.Threshold(value=panel.limit, color="red"))
        style = shared.GraphThresholdsStyleMode.DASHED
    stacking = shared.StackingMode.NORMAL if panel.stacked else shared.StackingMode.NONE
    drawn = (
        _placed(timeseries.Panel(), panel, number)
        .unit(panel.unit)
        .min(0)
        .color_scheme(build.FieldColor().mode(made.FieldColorModeId.PALETTE_CLASSIC))
        .thresholds(build.ThresholdsConfig().mode(made.ThresholdsMode.ABSOLUTE).steps(steps))
        .thresholds_style(common.GraphThresholdsStyleConfig().mode(style))
        .draw_style(shared.GraphDrawStyle.LINE)
        .line_width(1)
        .fill_opacity(30 if panel.stacked else 5)
        .show_points(shared.VisibilityMode.NEVER)
        .span_nulls(span_nulls=False)
        .stacking(common.StackingConfig().mode(stacking).group("A"))
        .legend(
            common.VizLegendOptions()
            .display_mode(shared.LegendDisplayMode.TABLE)
            .placement(shared.LegendPlacement.BOTTOM)
            .show_legend(show_legend=True)
            .calcs(["lastNotNull", "max"])
        )
        .tooltip(
            common.VizTooltipOptions().mode(shared.TooltipDisplayMode.MULTI).sort(shared.SortOrder.DESCENDING)
        )
    )
    if panel.most is not None:
        drawn.max(panel.most)
    for name, colour in panel.colours:
        fixed = {"mode": "fixed", "fixedColor": colour}
        drawn.override_by_name(name, [made.DynamicConfigValue(id_val="color", value=fixed)])
    return drawn


def _states(panel: Panel, number: int) -> statetimeline.Panel:
    from grafana_foundation_sdk.builders import common, statetimeline
    from grafana_foundation_sdk.builders import dashboard as build
    from grafana_foundation_sdk.models import common as shared
    from grafana_foundation_sdk.models import dashboard as made

    named = {
        str(index): made.ValueMappingResult(text=text, color=colour, index=index)
        for index, (text, colour) in enumerate(panel.states)
    }
    plain = [made.Threshold(color="text")]
    return (
        _placed(statetimeline.Panel(), panel, number)
        .mappings([made.ValueMap(options=named)])
        .color_scheme(build.FieldColor().mode(made.FieldColorModeId.THRESHOLDS))
        .thresholds(build.ThresholdsConfig().mode(made.ThresholdsMode.ABSOLUTE).steps(plain))
        .line_width(0)
        .fill_opacity(70)
        .merge_values(merge_values=True)
        .show_value(shared.VisibilityMode.AUTO)
        .row_height(0.9)
        .legend(
            common.VizLegendOptions()
            .display_mode(shared.LegendDisplayMode.LIST)
            .placement(shared.LegendPlacement.BOTTOM)
            .show_legend(show_legend=True)
            .calcs([])
        )
        .tooltip(
            common.VizTooltipOptions().mode(shared.TooltipDisplayMode.SINGLE).sort(shared.SortOrder.NONE)
        )
    )


def _placed(drawn: _PanelT, panel: Panel, number: int) -> _PanelT:
    """What panels of both kinds have."""
    from grafana_foundation_sdk.builders import prometheus
    from grafana_foundation_sdk.models.prometheus import QueryEditorMode

    (
        drawn.id(number)
        .title(panel.title)
        .description(panel.description)
        .datasource(_source())
        .span(panel.columns)
        .height(HEIGHT)
    )
    for index, query in enumerate(panel.queries):
        drawn.with_target(
            prometheus.Dataquery()
            .ref_id(chr(ord("A") + index))
            .datasource(_source())
            .editor_mode(QueryEditorMode.CODE)
            .range()
            .expr(query.expression)
            .legend_format(query.legend)
        )
    return drawn


def _variable(variable: Variable) -> build.QueryVariable:
    from grafana_foundation_sdk.builders import dashboard as build
    from grafana_foundation_sdk.models import dashboard as made

    return (
        build.QueryVariable(variable.name)
        .label(variable.label)
        .datasource(_source())
        .query({"query": variable.query, "refId": variable.name})
        .refresh(made.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(made.VariableSort.ALPHABETICAL_ASC)
        .include_all(include_all=True)
        .all_value(".*")
        .multi(multi=True)
        .current(made.VariableOption(selected=True, text=["All"], value=["$__all"]))
    )


def _annotation(alerts: str) -> build.AnnotationQuery:
    from grafana_foundation_sdk.builders import dashboard as build

    return (
        build.AnnotationQuery()
        .name("Alerts")
        .datasource(_source())
        .enable(enable=True)
        .hide(hide=False)
        .icon_color("red")
        .expr(alerts)
    )


def _source() -> made.DataSourceRef:
    from grafana_foundation_sdk.models import dashboard as made

    return made.DataSourceRef(type_val="prometheus", uid=SOURCE)
