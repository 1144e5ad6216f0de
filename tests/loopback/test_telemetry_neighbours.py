"""Telemetry among others: a real collector's bytes, an application's own providers, and OpenTelemetry's own OpenAI instrumentation."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any, Final, final

import openai
import pytest
from opentelemetry.instrumentation.genai.openai import OpenAIInstrumentor
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import HistogramDataPoint, InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON, Sampler

from otlp_collector import Collector
from resilient_ai import ResilientModel, Retry, resilient, wrap
from resilient_ai.models import OpenAIModel, canned
from resilient_ai.telemetry import names, observe
from resilient_ai.testing import FaultServer

ASK: Final[list[Any]] = [{"role": "user", "content": "Where is my parcel?"}]
VENDOR: Final = "opentelemetry.instrumentation.genai.openai"


@pytest.fixture(scope="module")
def server() -> Iterator[FaultServer]:
    with FaultServer() as running:
        yield running


# --- a collector ------------------------------------------------------------------------------------------------------


def plain(attributes: Any) -> dict[str, Any]:
    return {
        one.key: getattr(one.value, one.value.WhichOneof("value"))
        for one in attributes
        if one.value.WhichOneof("value") != "array_value"
    }


def test_a_collector_finds_the_span_tree_and_the_metrics_in_what_it_is_sent(
    server: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    collector = Collector()
    monkeypatch.setenv("OTEL_SERVICE_NAME", "shop")
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test")
    model = OpenAIModel("gpt-x", server.url("503-overloaded", times=1, session="otlp"), "sk-none")
    try:
        with (
            observe(logs=None, otlp=collector.url),
            ResilientModel([model], name="support", retry=Retry(2, base=0, cap=0)) as chain,
        ):
            reply = chain.generate("Where is my parcel?")
    finally:
        collector.close()
    resources = [
        resource
        for body in collector.bodies("/v1/traces")
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans
    ]
    about = plain(resources[0].resource.attributes)
    assert (about["service.name"], about["deployment.environment.name"]) == ("shop", "test")
    scopes = [scope for resource in resources for scope in resource.scope_spans]
    assert {(scope.scope.name, scope.schema_url) for scope in scopes} == {(names.SCOPE, names.SCHEMA_URL)}
    spans = {span.span_id: span for scope in scopes for span in scope.spans}
    tree = {
        (span.name, spans[span.parent_span_id].name if span.parent_span_id else "") for span in spans.values()
    }
    assert tree == {
        ("resilient_ai.request", ""),
        ("chat gpt-x", "resilient_ai.request"),
        ("resilient_ai.attempt", "chat gpt-x"),
    }
    (asked,) = [plain(span.attributes) for span in spans.values() if span.name == "chat gpt-x"]
    assert asked["gen_ai.usage.input_tokens"] == reply.usage.input_tokens
    assert asked["gen_ai.provider.name"] == "openai"
    assert asked["server.address"] == "127.0.0.1"
    metrics = {
        metric.name
        for body in collector.bodies("/v1/metrics")
        for resource in ExportMetricsServiceRequest.FromString(body).resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
    }
    assert {
        "gen_ai.client.operation.duration",
        "gen_ai.client.token.usage",
        "resilient_ai.request.duration",
        "resilient_ai.attempts",
        "resilient_ai.retry.delay",
    } <= metrics
    assert metrics <= {row.name for row in names.METRICS}


# --- an application with providers and a vendor's instrumentation -------------------------------------------------------


@final
class Application:
    """An application that traces and measures by itself, with OpenTelemetry's own OpenAI instrumentation on."""

    def __init__(self, sampler: Sampler = ALWAYS_ON) -> None:
        self._exporter = InMemorySpanExporter()
        self.tracers = TracerProvider(sampler=sampler, shutdown_on_exit=False)
        self.tracers.add_span_processor(SimpleSpanProcessor(self._exporter))
        self._reader = InMemoryMetricReader()
        self.meters = MeterProvider([self._reader], shutdown_on_exit=False)
        self._instrumentor = OpenAIInstrumentor()
        self._instrumentor.instrument(tracer_provider=self.tracers, meter_provider=self.meters)

    def close(self) -> None:
        self._instrumentor.uninstrument()
        self.tracers.shutdown()
        self.meters.shutdown()

    def traced_tokens(self) -> int:
        """The sum over all spans: what a trace is billed by."""
        return sum(
            value
            for span in self._exporter.get_finished_spans()
            for key, value in (span.attributes or {}).items()
            if key in ("gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens") and isinstance(value, int)
        )

    def measured_tokens(self) -> float:
        """The sum over all series of the metric, whoever records it."""
        data = self._reader.get_metrics_data()
        assert data is not None
        return sum(
            point.sum
            for resource in data.resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
            if metric.name == "gen_ai.client.token.usage"
            for point in metric.data.data_points
            if isinstance(point, HistogramDataPoint)
        )

    def spans(self) -> set[tuple[str, str]]:
        """Instrumentation and name of each span."""
        return {
            (span.instrumentation_scope.name if span.instrumentation_scope else "", span.name)
            for span in self._exporter.get_finished_spans()
        }


@pytest.fixture
def application() -> Iterator[Application]:
    made = Application()
    yield made
    made.close()


def total(usage: Any) -> int:
    return int(usage.prompt_tokens + usage.completion_tokens)


def create(server: FaultServer, **options: Any) -> int:
    with wrap(openai.OpenAI(base_url=server.url(), api_key="sk-none"), **options) as client:
        return total(client.chat.completions.create(model="gpt-5.2", messages=ASK).usage)


def stream(server: FaultServer) -> int:
    with wrap(openai.OpenAI(base_url=server.url(), api_key="sk-none")) as client:
        chunks = client.chat.completions.create(
            model="gpt-5.2", messages=ASK, stream=True, stream_options={"include_usage": True}
        )
        return sum(total(chunk.usage) for chunk in chunks if chunk.usage is not None)


def acreate(server: FaultServer) -> int:
    async def main() -> int:
        async with wrap(openai.AsyncOpenAI(base_url=server.url(), api_key="sk-none")) as client:
            return total((await client.chat.completions.create(model="gpt-5.2", messages=ASK)).usage)

    return asyncio.run(main())


def rescued(server: FaultServer) -> int:
    behind = OpenAIModel("gpt-behind", server.url(), "sk-none")
    with wrap(
        openai.OpenAI(base_url=server.url("503-overloaded"), api_key="sk-none"),
        fallback=[behind],
        retry=Retry(1),
    ) as client:
        return total(client.chat.completions.create(model="gpt-5.2", messages=ASK).usage)


def own_model(server: FaultServer) -> int:
    with ResilientModel([OpenAIModel("gpt-5.2", server.url(), "sk-none")]) as model:
        usage = model.generate("Where is my parcel?").usage
    return (usage.input_tokens or 0) + (usage.output_tokens or 0)


def around_the_sdk(server: FaultServer) -> int:
    client = openai.OpenAI(base_url=server.url(), api_key="sk-none")

    @resilient
    def ask(text: str) -> int:
        return total(
            client.chat.completions.create(
                model="gpt-5.2", messages=[{"role": "user", "content": text}]
            ).usage
        )

    with client:
        return ask("Where is my parcel?")


WAYS: dict[str, Callable[[FaultServer], int]] = {
    "a wrapped client": create,
    "a wrapped client's stream": stream,
    "a wrapped asynchronous client": acreate,
    "a wrapped client with a model behind it": lambda server: create(server, fallback=[canned("Later.")]),
    "a wrapped client whose provider is down": rescued,
    "a chain of the library's own models": own_model,
    "a decorated function around the SDK": around_the_sdk,
}


@pytest.mark.parametrize("way", WAYS)
def test_tokens_are_counted_once_beside_a_vendors_instrumentation(
    server: FaultServer, application: Application, way: str
) -> None:
    with observe(logs=None, tracer_provider=application.tracers, meter_provider=application.meters):
        used = WAYS[way](server)
    assert used > 0
    assert application.traced_tokens() == used
    assert application.measured_tokens() == used
    assert (names.SCOPE, "resilient_ai.request") in application.spans()


def test_tokens_are_counted_once_where_a_sampler_dropped_the_vendors_span(server: FaultServer) -> None:
    application = Application(ALWAYS_OFF)
    try:
        with observe(logs=None, tracer_provider=application.tracers, meter_provider=application.meters):
            used = create(server)
        assert application.spans() == set()
        assert application.measured_tokens() == used
    finally:
        application.close()


def test_an_agents_span_around_a_call_does_not_keep_its_tokens_from_being_counted(
    server: FaultServer, application: Application
) -> None:
    tracer = application.tracers.get_tracer("agents")
    with (
        observe(logs=None, tracer_provider=application.tracers, meter_provider=application.meters),
        tracer.start_as_current_span("invoke_agent", attributes={"gen_ai.operation.name": "invoke_agent"}),
    ):
        used = own_model(server)
    assert application.traced_tokens() == used == application.measured_tokens()


def test_a_framework_that_counts_by_its_span_alone_is_seen(
    server: FaultServer, application: Application
) -> None:
    tracer = application.tracers.get_tracer("framework")
    with (
        observe(logs=None, tracer_provider=application.tracers, meter_provider=application.meters),
        tracer.start_as_current_span("chat", attributes={"gen_ai.operation.name": "chat"}) as span,
    ):
        used = own_model(server)
        span.set_attribute("gen_ai.usage.input_tokens", used)
    assert application.traced_tokens() == used
    assert application.measured_tokens() == 0, "its metric is the framework's to record"
