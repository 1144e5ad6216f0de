from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Iterator

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import HistogramDataPoint, InMemoryMetricReader, NumberDataPoint

from resilient_ai.core import events
from resilient_ai.runtime import observers
from resilient_ai.telemetry import Metrics, names
from unit.telemetry import story
from unit.telemetry.story import Story


class Metered:
    """A meter provider whose metrics can be read."""

    def __init__(self) -> None:
        self.reader = InMemoryMetricReader()
        self.provider = MeterProvider([self.reader], shutdown_on_exit=False)

    def observe(self, told: list[events.Event]) -> Metrics:
        metrics = Metrics(self.provider)
        for event in told:
            metrics(event)
        return metrics

    def read(self) -> dict[str, list[tuple[dict[str, object], float, int | None]]]:
        """Labels, value (or sum) and count of each series, by metric."""
        data = self.reader.get_metrics_data()
        found: dict[str, list[tuple[dict[str, object], float, int | None]]] = {}
        for resource in data.resource_metrics if data is not None else ():
            for scope in resource.scope_metrics:
                assert scope.scope.schema_url == names.SCHEMA_URL
                for metric in scope.metrics:
                    series = found.setdefault(metric.name, [])
                    for point in metric.data.data_points:
                        labels: dict[str, object] = dict(point.attributes or {})
                        if isinstance(point, HistogramDataPoint):
                            series.append((labels, point.sum, point.count))
                        elif isinstance(point, NumberDataPoint):
                            series.append((labels, point.value, None))
        return found


@pytest.fixture
def metered() -> Iterator[Metered]:
    metered = Metered()
    yield metered
    metered.provider.shutdown()


OPENAI = {"gen_ai.provider.name": "openai", "gen_ai.request.model": "gpt-x"}
MODEL = {
    **OPENAI,
    "gen_ai.operation.name": "chat",
    "gen_ai.response.model": "gpt-x-2026",
    "server.address": "api.example.com",
    "server.port": 443,
}
BEFORE_ANSWER = {key: value for key, value in MODEL.items() if key != "gen_ai.response.model"}


def test_an_answered_call_is_measured_once_as_a_call_and_once_as_a_model(metered: Metered) -> None:
    metered.observe(story.answered())
    found = metered.read()
    assert found.pop("resilient_ai.redactions")
    assert found.pop("resilient_ai.redaction.errors")
    # These count for the whole process: observers and audit trails of other tests may have raised.
    found.pop("resilient_ai.observer.errors", None)
    assert found.pop("resilient_ai.audit.records")
    assert found.pop("resilient_ai.audit.errors")
    states = found.pop("resilient_ai.circuit_breaker.state")
    assert {str(labels["resilient_ai.circuit_breaker.state"]): value for labels, value, _ in states} == {
        "closed": 1,
        "open": 0,
        "half-open": 0,
        "forced-open": 0,
        "disabled": 0,
    }
    assert found == {
        "gen_ai.client.operation.duration": [(MODEL, 1.0, 1)],
        "gen_ai.client.token.usage": [
            ({**MODEL, "gen_ai.token.type": "input"}, 10, 1),
            ({**MODEL, "gen_ai.token.type": "output"}, 5, 1),
        ],
        "resilient_ai.attempts": [({**OPENAI, "resilient_ai.outcome": "answered"}, 1, None)],
        "resilient_ai.cost": [({**OPENAI, "resilient_ai.currency": "USD"}, 0.25, None)],
        "resilient_ai.request.duration": [
            (
                {
                    "resilient_ai.chain": "support",
                    "resilient_ai.operation": "chat",
                    "resilient_ai.outcome": "ok",
                    "resilient_ai.served_by": "gpt-x",
                },
                1.0,
                1,
            )
        ],
        "resilient_ai.requests.active": [({"resilient_ai.chain": "support"}, 0, None)],
    }


def test_a_retry_is_counted_with_its_pause_and_what_it_waited_out(metered: Metered) -> None:
    metered.observe(story.retried())
    found = metered.read()
    assert found["resilient_ai.attempts"] == [
        ({**OPENAI, "resilient_ai.outcome": "retry", "error.type": "rate_limited"}, 1, None),
        ({**OPENAI, "resilient_ai.outcome": "answered"}, 1, None),
    ]
    assert found["resilient_ai.retry.delay"] == [
        ({"gen_ai.provider.name": "openai", "resilient_ai.reason": "rate_limited"}, 2.0, 1)
    ]
    assert found["gen_ai.client.operation.duration"] == [(MODEL, 4.0, 1)]


def test_a_fallback_is_counted_and_the_failed_model_has_its_error(metered: Metered) -> None:
    metered.observe(story.fell_back())
    found = metered.read()
    assert found["resilient_ai.fallbacks"] == [
        (
            {
                "resilient_ai.fallback.from": "gpt-x",
                "resilient_ai.fallback.to": "llama",
                "resilient_ai.reason": "server_error",
            },
            1,
            None,
        )
    ]
    assert ({**BEFORE_ANSWER, "error.type": "server_error"}, 1.0, 1) in found[
        "gen_ai.client.operation.duration"
    ]
    ((request, _, _),) = found["resilient_ai.request.duration"]
    assert request["resilient_ai.outcome"] == "degraded"
    assert "error.type" not in request


def test_a_breaker_shows_its_state_its_change_and_what_it_rejected(metered: Metered) -> None:
    metered.observe(story.rejected_by_the_breaker())
    found = metered.read()
    assert found["resilient_ai.circuit_breaker.rejections"] == [(OPENAI, 1, None)]
    assert found["resilient_ai.circuit_breaker.transitions"] == [
        (
            {
                **OPENAI,
                "resilient_ai.circuit_breaker.from": "closed",
                "resilient_ai.circuit_breaker.to": "open",
            },
            1,
            None,
        )
    ]
    on = [labels for labels, value, _ in found["resilient_ai.circuit_breaker.state"] if value == 1]
    assert {(str(labels["gen_ai.request.model"]), str(labels[names.STATE])) for labels in on} == {
        ("gpt-x", "open"),
        ("llama", "closed"),
    }


def test_a_stream_is_measured_to_its_first_content_and_between_its_pieces(metered: Metered) -> None:
    metered.observe(story.streamed())
    found = metered.read()
    assert found["gen_ai.client.operation.time_to_first_chunk"] == [(MODEL, 1.0, 1)]
    # 31 pieces, the first after 1 s, the last after 4 s.
    ((labels, seconds, count),) = found["gen_ai.client.operation.time_per_output_chunk"]
    assert (labels, count) == (MODEL, 1)
    assert seconds == pytest.approx(0.1)


def test_a_failed_call_carries_the_error_its_span_carries(metered: Metered) -> None:
    metered.observe(story.failed())
    found = metered.read()
    ((request, seconds, _),) = found["resilient_ai.request.duration"]
    assert (request["error.type"], request["resilient_ai.outcome"], seconds) == ("timeout", "error", 2.0)
    assert found["resilient_ai.retry.suppressed"] == [({**OPENAI, "resilient_ai.reason": "budget"}, 1, None)]
    ((alert, count, _),) = found["resilient_ai.alerts"]
    assert (alert["error.type"], alert["gen_ai.request.model"], count) == ("authentication", "claude-y", 1)
    assert "resilient_ai.cost" not in found, "an unknown cost is not zero"


def test_a_check_is_counted_by_its_result_and_what_followed(metered: Metered) -> None:
    metered.observe(story.asked_again())
    assert [
        (labels["resilient_ai.validation.result"], labels["resilient_ai.validation.action"], value)
        for labels, value, _ in metered.read()["resilient_ai.validations"]
    ] == [("fail", "re-ask", 1), ("pass", "pass", 1)]


def test_calls_in_flight_are_counted_until_they_end_or_are_given_up(metered: Metered) -> None:
    metrics = Metrics(metered.provider, limit=4)
    for _ in range(6):
        for event in story.abandoned():
            metrics(event)
    assert metered.read()["resilient_ai.requests.active"] == [({"resilient_ai.chain": "support"}, 4, None)]
    metrics.close()
    assert len(metrics) == 0
    assert metered.read()["resilient_ai.requests.active"] == [({"resilient_ai.chain": "support"}, 0, None)]


def test_a_label_takes_a_bounded_number_of_values(metered: Metered) -> None:
    metrics = Metrics(metered.provider, max_values=5)
    for number in range(50):
        for event in Story(chain=f"chain-{number}").finish():
            metrics(event)
    chains = {
        str(labels["resilient_ai.chain"]) for labels, *_ in metered.read()["resilient_ai.request.duration"]
    }
    assert chains == {"chain-0", "chain-1", "chain-2", "chain-3", "chain-4", "_OTHER"}


def test_histograms_have_the_boundaries_of_the_conventions(metered: Metered) -> None:
    metered.observe(story.streamed())
    data = metered.reader.get_metrics_data()
    assert data is not None
    bounds = {
        metric.name: tuple(point.explicit_bounds)
        for metric in data.resource_metrics[0].scope_metrics[0].metrics
        for point in metric.data.data_points
        if isinstance(point, HistogramDataPoint)
    }
    seconds = (
        *(0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92),
        *(163.84, 327.68),
    )
    tokens = (1, 4, 16, 64, 256, 1024, 4096, 16384, 65536, 262144, 1048576, 4194304, 16777216, 67108864)
    assert bounds == {
        "gen_ai.client.operation.duration": seconds,
        "gen_ai.client.operation.time_to_first_chunk": seconds,
        "gen_ai.client.operation.time_per_output_chunk": seconds,
        "resilient_ai.request.duration": seconds,
        "gen_ai.client.token.usage": tokens,
    }


def test_two_observers_of_one_provider_share_its_instruments(
    metered: Metered, caplog: pytest.LogCaptureFixture
) -> None:
    metered.observe(story.answered()).close()
    metered.observe(story.answered())
    assert caplog.records == []
    ((_, _, count),) = metered.read()["resilient_ai.request.duration"]
    assert count == 2


def test_a_provider_that_is_dropped_is_not_kept_alive_by_its_instruments() -> None:
    metered = Metered()
    metered.observe(story.answered())
    metered.provider.shutdown()
    gone = weakref.ref(metered.provider)
    del metered
    gc.collect()
    assert gone() is None


def test_an_observer_that_raises_is_counted_by_its_name(metered: Metered) -> None:
    def audit_of_this_test(_: events.Event) -> None:
        raise OSError

    metered.observe(story.answered())
    told = story.answered()
    for event in told:
        observers.emit((audit_of_this_test,), event)
    counts = {
        str(labels["resilient_ai.observer"]).rpartition(".")[2]: value
        for labels, value, _ in metered.read()["resilient_ai.observer.errors"]
    }
    assert counts["audit_of_this_test"] == len(told)


def test_nothing_is_left_of_calls_that_ended(metered: Metered) -> None:
    assert len(metered.observe(list(story.every_event()))) == 0


def test_eight_threads_lose_no_count(metered: Metered) -> None:
    metrics = Metrics(metered.provider)
    barrier = threading.Barrier(8)

    def work() -> None:
        barrier.wait()
        for _ in range(50):
            for event in story.fell_back():
                metrics(event)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = metered.read()
    assert [value for _, value, _ in found["resilient_ai.fallbacks"]] == [400]
    assert [count for _, _, count in found["resilient_ai.request.duration"]] == [400]
    assert [value for _, value, _ in found["resilient_ai.requests.active"]] == [0]
    assert len(metrics) == 0
