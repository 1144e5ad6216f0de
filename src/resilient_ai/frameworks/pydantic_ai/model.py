"""`ResilientAgentModel`: a chain as a pydantic-ai `Model`."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, cast, final

from pydantic_ai.exceptions import UserError
from pydantic_ai.models import Model, ModelRequestParameters, StreamedResponse, check_allow_model_requests
from pydantic_ai.models._tool_choice import (
    resolve_tool_choice,  # the framework's own reading; a copy of it would drift
)
from pydantic_ai.profiles import ModelProfile

from resilient_ai.errors import CallError
from resilient_ai.frameworks.contract import data_class_of, usable
from resilient_ai.frameworks.pydantic_ai.failures import failure_of
from resilient_ai.frameworks.pydantic_ai.messages import messages_of
from resilient_ai.frameworks.pydantic_ai.names import SYSTEM
from resilient_ai.frameworks.pydantic_ai.replies import ChainStream, response_of
from resilient_ai.messages import JSON, DataClassName, OutputSchema, Request, Tool
from resilient_ai.model import ResilientModel

if TYPE_CHECKING:
    from pydantic_ai import RunContext
    from pydantic_ai.messages import ModelMessage, ModelResponse
    from pydantic_ai.profiles import ModelProfileSpec
    from pydantic_ai.settings import ModelSettings

_SETTINGS: Final = ("max_tokens", "temperature", "top_p", "seed", "parallel_tool_calls")
_OPENAI_SETTINGS: Final = ("presence_penalty", "frequency_penalty", "logit_bias", "service_tier")
_OPENAI: Final = "openai-chat"
_EFFORTS: Final[Mapping[object, str]] = {
    True: "medium",
    "minimal": "minimal",
    "low": "low",
    "medium": "medium",
    "high": "high",
    "xhigh": "high",
    "max": "high",
}


@final
@dataclass(init=False)
class ResilientAgentModel(Model[Any]):
    """A chain as a pydantic-ai model, for `Agent(...)` and wherever else a model is taken.

    Who answered stands on each response: `model_name`, `provider_name`, and in `provider_details["outcome"]` the whole history (`served_by`,
    `degraded`, `attempts`, ...). A failed call raises pydantic-ai's own class for it (`ModelHTTPError` where a status is known, else a
    `ModelAPIError`) with ours as its `__cause__`, so that `FallbackModel` goes on to its next model; an exception of a function in the chain
    stays as it is.

    `timeout` of the settings, in seconds, is the deadline of a call; `max_retries` belongs to the chain. `extra_body` is for the chain's first
    model, penalties and `service_tier` are for OpenAI's format; both are dropped, visibly, where another is spoken. Files other than pictures go to OpenAI's format only, by value.

    Args:
        chain: The chain. It stays the caller's to close.
        data_class: How sensitive the content is; models not cleared for it are skipped.
        settings: Settings for every request.
        profile: What the chain can do, where that differs from tools, JSON schemas and thinking.

    Raises:
        ConfigError: `chain` is no `ResilientModel`, or takes back what a stream delivered.
    """

    unsupported_settings = frozenset({"extra_headers", "max_retries", "top_k"})

    chain: ResilientModel = field(repr=False)
    data_class: DataClassName | None

    def __init__(
        self,
        chain: ResilientModel,
        *,
        data_class: DataClassName | None = None,
        settings: ModelSettings | None = None,
        profile: ModelProfileSpec | None = None,
    ) -> None:
        self.chain = usable(chain)
        self.data_class = data_class
        super().__init__(settings=settings, profile=profile)

    @property
    def model_name(self) -> str:
        return self.chain.plan.name

    @property
    def system(self) -> str:
        return SYSTEM

    def _provider_model_profile(self) -> ModelProfile:
        profile = ModelProfile(
            supports_json_schema_output=True, supports_json_object_output=True, supports_thinking=True
        )
        tokens = self.chain.plan.hops[0].model.traits.context_tokens
        if tokens is not None:
            profile["context_window"] = tokens
        return profile

    async def request(
        self,
        messages: list[ModelMessage],
        model_settings: ModelSettings | None,
        model_request_parameters: ModelRequestParameters,
    ) -> ModelResponse:
        request, deadline = self._asked(messages, model_settings, model_request_parameters)
        try:
            reply = await self.chain.agenerate(request, deadline=deadline)
        except CallError as error:
            raise failure_of(error, self.model_name) from error
        return response_of(reply)

    @asynccontextmanager
    async def request_stream(
        self,
        messages: list[ModelMessage],
        model_settings: ModelSettings | None,
        model_request_parameters: ModelRequestParameters,
        run_context: RunContext[Any] | None = None,
    ) -> AsyncGenerator[StreamedResponse]:
        request, deadline = self._asked(messages, model_settings, model_request_parameters)
        stream = self.chain.astream(request, deadline=deadline)
        try:
            await stream.__aenter__()
        except CallError as error:
            raise failure_of(error, self.model_name) from error
        try:
            yield ChainStream(
                model_request_parameters=model_request_parameters,
                _stream=stream,
                _model_name=self.model_name,
            )
        finally:
            await stream.aclose()

    def _asked(
        self,
        messages: list[ModelMessage],
        model_settings: ModelSettings | None,
        parameters: ModelRequestParameters,
    ) -> tuple[Request, float | None]:
        """What is asked of the chain, and within how many seconds.

        Raises:
            UserError: `timeout` is more than one number.
        """
        check_allow_model_requests()
        prepared, parameters = self.prepare_request(model_settings, parameters)
        settings = cast("Mapping[str, Any]", prepared or {})
        tools, choice = _tools(prepared, parameters)
        extra, extra_format = self._extra(settings)
        timeout = settings.get("timeout")
        if timeout is not None and not isinstance(timeout, int | float):
            raise UserError(
                f"timeout is a {type(timeout).__name__}; give seconds: they are the deadline of the call."
            )
        request = Request(
            messages_of(messages, self._get_instruction_parts(messages, parameters) or ()),
            tools=tools,
            tool_choice=choice,
            stop=tuple(settings.get("stop_sequences") or ()),
            output_schema=_schema(parameters),
            reasoning_effort=_EFFORTS.get(parameters.thinking),
            data_class=data_class_of(self.data_class),
            extra=extra,
            extra_format=extra_format,
            **{name: settings[name] for name in _SETTINGS if name in settings},
        )
        return request, timeout

    def _extra(self, settings: Mapping[str, Any]) -> tuple[dict[str, JSON], str | None]:
        """Parameters of one wire format, and that format: the first model's for `extra_body`, else OpenAI's for its own settings."""
        own: dict[str, JSON] = {name: settings[name] for name in _OPENAI_SETTINGS if name in settings}
        body = settings.get("extra_body")
        if not isinstance(body, Mapping):
            return own, _OPENAI if own else None
        spoken = self.chain.plan.hops[0].model.traits.wire
        return {**(own if spoken == _OPENAI else {}), **cast("Mapping[str, JSON]", body)}, spoken


def _tools(
    settings: ModelSettings | None, parameters: ModelRequestParameters
) -> tuple[tuple[Tool, ...], str | None]:
    """The tools that may be called, and which of them must be."""
    resolved = resolve_tool_choice(settings, parameters)
    defined = parameters.declared_tool_defs
    choice: str
    if isinstance(resolved, tuple):
        choice, names = resolved
        defined = {name: tool for name, tool in defined.items() if name in names}
        if choice == "required" and len(defined) == 1:
            choice = f"tool:{next(iter(defined))}"
    else:
        choice = resolved
    tools = tuple(
        Tool(
            tool.name, tool.description, cast("Mapping[str, JSON]", tool.parameters_json_schema), tool.strict
        )
        for tool in defined.values()
    )
    return tools, choice if tools and choice != "auto" else None


def _schema(parameters: ModelRequestParameters) -> OutputSchema | None:
    if parameters.output_mode == "native" and parameters.output_object is not None:
        wanted = parameters.output_object
        schema = cast("dict[str, JSON]", wanted.json_schema)
        if wanted.description:
            schema = {"description": wanted.description, **schema}
        return OutputSchema(wanted.name or "output", schema, strict=wanted.strict is not False)
    if parameters.output_mode == "prompted" and not parameters.output_tools:
        return OutputSchema("json", None, strict=False)
    return None
