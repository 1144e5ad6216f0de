from __future__ import annotations

import re
from html.parser import HTMLParser
from itertools import pairwise
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

import demo_runs
from resilient_ai.cli.demo.recording import CallRow
from resilient_ai.cli.demo.report import Environment, page
from resilient_ai.cli.demo.report.chart import chart
from resilient_ai.cli.demo.report.scale import Linear, Log, decades, per_bin, ticks

ENVIRONMENT = Environment("resilient-ai demo --seed 7", {"Python": "3.11 <final>"})


def _drawn(svg: str, name: str) -> list[ET.Element]:
    return [element for element in ET.fromstring(svg).iter() if element.get("class") == name]  # noqa: S314 - our own


def test_each_call_is_one_mark_of_whoever_answered_it() -> None:
    svg = chart(demo_runs.run())
    assert len(_drawn(svg, "dot-remote")) == 2
    assert len(_drawn(svg, "dot-device")) == 2
    assert len(_drawn(svg, "dot-failed")) == 1


def test_a_mark_tells_its_call_in_words() -> None:
    (failed,) = _drawn(chart(demo_runs.run()), "dot-failed")
    assert failed[0].text == "at 6.00 s: nobody after 4 s, 2 attempts (timeout, timeout)"


def test_a_slower_call_stands_higher_and_a_later_one_to_the_right() -> None:
    first, second = _drawn(chart(demo_runs.run()), "dot-remote")
    assert float(second.get("cx", "")) > float(first.get("cx", ""))
    assert float(second.get("cy", "")) < float(first.get("cy", ""))


def test_the_strip_shows_each_state_of_the_remote_model_s_breaker_and_of_no_other() -> None:
    svg = chart(demo_runs.run())
    states = {name: len(_drawn(svg, f"state {name}")) for name in ("closed", "open", "half-open")}
    assert states == {"closed": 2, "open": 1, "half-open": 1}


def test_the_strip_shows_when_the_remote_model_was_left_alone_for_a_429() -> None:
    first, last = _drawn(chart(demo_runs.run()), "held")
    assert float(first.get("width", "")) == pytest.approx(1066 / 10, abs=0.1)
    assert float(last.get("width", "")) == 0


def test_the_stretches_of_the_breaker_fill_the_whole_time() -> None:
    svg = chart(demo_runs.run())
    rects = [element for name in ("closed", "open", "half-open") for element in _drawn(svg, f"state {name}")]
    edges = sorted((float(r.get("x", "")), float(r.get("width", ""))) for r in rects)
    for (left, width), (following, _) in pairwise(edges):
        assert left + width == pytest.approx(following, abs=0.2)


def test_phases_are_bands_with_their_names_escaped() -> None:
    svg = chart(demo_runs.run())
    assert "stall &lt;b&gt;: takes &amp; never answers" in svg
    assert len(_drawn(svg, "band band-0")) == len(_drawn(svg, "band band-1")) == 1


def test_a_run_in_which_nothing_happened_is_drawn_all_the_same() -> None:
    svg = chart(demo_runs.run(calls=[], breaker=[]))
    assert len(_drawn(svg, "state closed")) == 1


@given(
    st.lists(
        st.builds(
            CallRow,
            st.floats(-1, 12),
            st.floats(0, 100),
            st.sampled_from(["remote", "on-device", None]),
            st.integers(0, 9),
        )
    )
)
def test_whatever_was_recorded_the_picture_is_well_formed_and_within_its_frame(calls: list[CallRow]) -> None:
    svg = chart(demo_runs.run(calls=calls))
    for dot in _drawn(svg, "dot-remote"):
        assert 0 <= float(dot.get("cx", "")) <= 1160
        assert 0 <= float(dot.get("cy", "")) <= 400


class _Balance(HTMLParser):
    """Fails on a tag that is closed out of turn."""

    EMPTY = frozenset({"meta", "br"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in self.EMPTY:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        return

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.mark.parametrize("scripted", [True, False])
def test_the_page_is_balanced_and_loads_nothing(*, scripted: bool) -> None:
    html = page(demo_runs.run(scripted=scripted), ENVIRONMENT)
    balance = _Balance()
    balance.feed(html)
    assert balance.open == []
    assert re.findall(r"https?://|<script|<link|<img|@import|src=", html) == []
    assert set(re.findall(r"url\(([^)]*)\)", html)) == {"#hatch", "#wait"}


def test_the_page_says_first_what_came_of_the_run() -> None:
    html = page(demo_runs.run(), ENVIRONMENT)
    assert "<h1>4 of 5 calls answered, none of them late</h1>" in html
    assert "1 failed, with a typed error" in html


def test_untyped_errors_are_not_called_typed() -> None:
    html = page(demo_runs.run(untyped=["ZeroDivisionError"]), ENVIRONMENT)
    assert "with a typed error" not in html
    assert "ZeroDivisionError" in html


def test_the_page_shows_the_policy_and_where_it_was_made_escaped() -> None:
    html = page(demo_runs.run(), ENVIRONMENT)
    assert "deadline &lt; 4 s" in html
    assert "3.11 &lt;final&gt;" in html
    assert "resilient-ai demo --seed 7" in html


def test_answers_that_were_looked_up_are_not_shown_as_a_measurement() -> None:
    assert page(demo_runs.run(), ENVIRONMENT).count("looked up") == 2
    measured = page(demo_runs.run(scripted=False), ENVIRONMENT)
    assert "looked up" not in measured
    assert "2 (100%)" in measured


def test_a_logarithmic_scale_gives_each_ratio_the_same_room() -> None:
    scale = Log(0.01, 100.0, 0.0, 40.0)
    assert [scale(value) for value in (0.0, 0.01, 0.1, 1.0, 100.0, 999.0)] == pytest.approx(
        [0, 0, 10, 20, 40, 40]
    )


def test_a_linear_scale_may_run_upwards_in_the_picture_and_ends_at_its_ends() -> None:
    scale = Linear(0.0, 10.0, 100.0, 0.0)
    assert [scale(value) for value in (-5, 0, 5, 10, 20)] == [100, 100, 50, 0, 0]
    assert Linear(1.0, 1.0, 7.0, 9.0)(1.0) == 7.0


@given(st.floats(0.001, 1e6), st.integers(2, 20))
def test_ticks_are_round_begin_at_nothing_and_are_no_more_than_asked(high: float, most: int) -> None:
    found = ticks(high, most)
    assert found[0] == 0
    assert len(found) <= most + 1
    assert found[-1] <= high * 1.000001


def test_decades_lie_within_their_bounds() -> None:
    assert decades(0.003, 5.0) == pytest.approx([0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0])


def test_every_instant_is_counted_in_one_bin() -> None:
    assert per_bin([0.0, 0.4, 0.6, 9.9, 12.0, -1.0], 0.5, 10.0) == [3, 1, *[0] * 17, 2]
