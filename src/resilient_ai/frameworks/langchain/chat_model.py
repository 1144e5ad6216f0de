"""`ResilientChatModel`: a chain as a `BaseChatModel`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final, Literal, cast

from langchain_core.language_models import BaseChatModel, LangSmithParams, LanguageModelInput, ModelProfile
from langchain_core.output_parsers import (
    BaseOutputParser,
    JsonOutputKeyToolsParser,
    JsonOutputParser,
    JsonOutputToolsParser,
    PydanticOutputParser,
    PydanticToolsParser,
)
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable, RunnableMap, RunnablePassthrough
from langchain_core.utils.function_calling import convert_to_json_schema, convert_to_openai_tool
from langchain_core.utils.pydantic import TypeBaseModel, is_basemodel_subclass
from pydantic import BaseModel, ConfigDict, Field, field_validator

from resilient_ai.errors import CallError
from resilient_ai.frameworks.contract import arguments, refuse_restart, usable
from resilient_ai.frameworks.langchain.failures import failure_of
from resilient_ai.frameworks.langchain.messages import messages_of
from resilient_ai.frameworks.langchain.replies import ChunkWriter, last_chunk, message_of
from resilient_ai.messages import DataClassName, Request
from resilient_ai.model import ResilientModel

if TYPE_CHECKING:
    from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
    from langchain_core.messages import AIMessage, BaseMessage
    from langchain_core.tools import BaseTool

_PARAMETERS: Final = (
    "temperature",
    "max_tokens",
    "top_p",
    "seed",
    "reasoning_effort",
    "deadline",
    "data_class",
)
_METHODS: Final = ("json_schema", "function_calling", "json_mode")


class ResilientChatModel(BaseChatModel):
    """A chain as a LangChain chat model. Blocking calls start no event loop, asynchronous ones no thread.

    Who answered stands in `message.response_metadata`: `model_name`, `provider`, and under `outcome` the whole history (`served_by`, `degraded`,
    `attempts`, ...). A failed call raises LangChain's own class for it (`ModelRateLimitError`, ...) with ours as its `__cause__`; an exception
    of a function in the chain stays as it is.

    Retries, timeouts, keys and the choice of model belong to the chain, so `max_retries`, `timeout`, `api_key` and a `model` per call are
    refused. Everything else given to `invoke` or `bind` is passed on to the provider.

    Attributes:
        model: The chain. It stays the caller's to close.
        temperature: Sampling temperature.
        max_tokens: Upper bound of output tokens.
        top_p: Nucleus sampling mass.
        seed: Sampling seed.
        stop: Strings that end the answer.
        reasoning_effort: How much to think, where a provider has such a setting.
        deadline: Seconds each call may take, instead of the chain's.
        data_class: How sensitive the content is; models not cleared for it are skipped.
        streaming: Whether `invoke` reads a stream, so that callbacks see tokens.
    """

    model_config = ConfigDict(extra="forbid", arbitrary_types_allowed=True)

    model: ResilientModel = Field(exclude=True)
    temperature: float | None = None
    max_tokens: int | None = None
    top_p: float | None = None
    seed: int | None = None
    stop: list[str] | None = None
    reasoning_effort: str | None = None
    deadline: float | None = None
    data_class: DataClassName | None = None
    streaming: bool = False

    @field_validator("model", mode="before")
    @classmethod
    def _usable(cls, model: object) -> ResilientModel:
        return usable(model)

    @property
    def _llm_type(self) -> str:
        return "resilient_ai"

    @property
    def _identifying_params(self) -> Mapping[str, Any]:
        plan = self.model.plan
        return {
            "chain": plan.name,
            "models": [hop.label for hop in plan.hops],
            "policy": plan.digest,
            **self._parameters(),
            "stop": self.stop,
        }

    def _parameters(self) -> dict[str, Any]:
        return {name: value for name in _PARAMETERS if (value := getattr(self, name)) is not None}

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        params = super()._get_ls_params(stop=stop or self.stop, **kwargs)
        params["ls_provider"] = "resilient_ai"
        params.setdefault("ls_model_name", self.model.plan.hops[0].model.name)
        return params

    def _resolve_model_profile(self) -> ModelProfile | None:
        tokens = self.model.plan.hops[0].model.traits.context_tokens
        return None if tokens is None else ModelProfile(max_input_tokens=tokens)

    # --- calls --------------------------------------------------------------------------------------------------------

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        request, options = self._asked(messages, stop, kwargs)
        try:
            reply = self.model.generate(request, **options)
        except CallError as error:
            raise failure_of(error) from error
        return ChatResult(generations=[ChatGeneration(message=message_of(reply))])

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        request, options = self._asked(messages, stop, kwargs)
        try:
            reply = await self.model.agenerate(request, **options)
        except CallError as error:
            raise failure_of(error) from error
        return ChatResult(generations=[ChatGeneration(message=message_of(reply))])

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        request, options = self._asked(messages, stop, kwargs)
        writer = ChunkWriter()
        try:
            with self.model.stream(request, **options) as stream:
                for chunk in stream:
                    refuse_restart(chunk)
                    message = writer.written(chunk)
                    if message is not None:
                        yield ChatGenerationChunk(message=message)
                yield ChatGenerationChunk(message=last_chunk(stream.reply()))
        except CallError as error:
            raise failure_of(error) from error

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        request, options = self._asked(messages, stop, kwargs)
        writer = ChunkWriter()
        try:
            async with self.model.astream(request, **options) as stream:
                async for chunk in stream:
                    refuse_restart(chunk)
                    message = writer.written(chunk)
                    if message is not None:
                        yield ChatGenerationChunk(message=message)
                yield ChatGenerationChunk(message=last_chunk(await stream.reply()))
        except CallError as error:
            raise failure_of(error) from error

    def _asked(
        self, messages: list[BaseMessage], stop: list[str] | None, kwargs: Mapping[str, Any]
    ) -> tuple[Request, dict[str, Any]]:
        """The conversation, and the arguments for the chain."""
        schema, options = arguments(self._parameters(), kwargs)
        options.pop("stream", None)  # LangChain's own: whether `invoke` streams
        ends = self.stop if stop is None else stop
        if ends:
            options["stop"] = ends
        return Request(messages_of(messages), output_schema=schema), options

    # --- tools and structured output ----------------------------------------------------------------------------------

    def bind_tools(
        self,
        tools: Sequence[dict[str, Any] | type | Callable[..., Any] | BaseTool],
        *,
        tool_choice: str | bool | dict[str, Any] | None = None,
        strict: bool | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """This model with tools it may ask to have called.

        Args:
            tools: What LangChain knows as a tool: functions, classes, tools, OpenAI's and Anthropic's form.
            tool_choice: `auto`, `none`, `any`, the name of a tool, or OpenAI's form; True is `any`.
            strict: Whether arguments must fit the schema; None leaves it to the provider.
            kwargs: Given with every call, for example `parallel_tool_calls`.
        """
        described = [convert_to_openai_tool(tool, strict=strict) for tool in tools]
        if tool_choice is not None and tool_choice is not False:
            kwargs["tool_choice"] = tool_choice
        return self.bind(tools=described, **kwargs)

    def with_structured_output(
        self,
        schema: dict[str, Any] | type,
        *,
        method: Literal["json_schema", "function_calling", "json_mode"] = "json_schema",
        include_raw: bool = False,
        strict: bool | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, dict[str, Any] | BaseModel]:
        """This model with answers that fit `schema`.

        With `json_schema` and a pydantic class the chain itself holds the answer to it: one that does not fit is asked for again, and then the
        next model is asked. A TypedDict or a JSON Schema goes to the provider, and LangChain reads what comes. So it is with `include_raw`, which
        asks to see an answer that does not fit.

        Args:
            schema: A pydantic class, a TypedDict, or a JSON Schema.
            method: How the schema is asked for: as the format of the answer, as the arguments of a tool, or by any JSON object.
            include_raw: Give `{"raw", "parsed", "parsing_error"}`.
            strict: Whether the provider must keep to the schema; a pydantic class with `json_schema` is held to in any case.
            kwargs: Given with every call.

        Raises:
            ValueError: There is no such method.
        """
        shown = {"kwargs": {"method": method, "strict": strict}, "schema": schema}
        bound: Runnable[LanguageModelInput, AIMessage]
        parser: BaseOutputParser[Any] | JsonOutputToolsParser
        modelled = is_basemodel_subclass(schema) if isinstance(schema, type) else False
        if method == "function_calling":
            name = convert_to_openai_tool(schema)["function"]["name"]
            bound = self.bind_tools(
                [schema], tool_choice=name, strict=strict, ls_structured_output_format=shown, **kwargs
            )
            parser = (
                PydanticToolsParser(tools=[cast("TypeBaseModel", schema)], first_tool_only=True)
                if modelled
                else JsonOutputKeyToolsParser(key_name=name, first_tool_only=True)
            )
        elif method in _METHODS:
            if method == "json_mode":
                kwargs["response_format"] = {"type": "json_object"}
            elif isinstance(schema, type) and issubclass(schema, BaseModel) and not include_raw:
                kwargs["output_type"] = schema
            else:
                kwargs["response_format"] = _format_of(cast("Any", schema), strict=strict)
            bound = self.bind(ls_structured_output_format=shown, **kwargs)
            parser = (
                PydanticOutputParser(pydantic_object=cast("TypeBaseModel", schema))
                if modelled
                else JsonOutputParser()
            )
        else:
            raise ValueError(f"method is {method!r}; it must be one of {', '.join(_METHODS)}.")
        return _with_raw(bound, parser) if include_raw else bound | parser


def _with_raw(
    bound: Runnable[LanguageModelInput, AIMessage], parser: Runnable[Any, Any]
) -> Runnable[LanguageModelInput, dict[str, Any]]:
    parsed = RunnablePassthrough.assign(parsed=itemgetter("raw") | parser, parsing_error=lambda _: None)
    unparsed = RunnablePassthrough.assign(parsed=lambda _: None)
    return RunnableMap(raw=bound) | parsed.with_fallbacks([unparsed], exception_key="parsing_error")


def _format_of(schema: dict[str, Any] | type, *, strict: bool | None) -> dict[str, Any]:
    described = convert_to_json_schema(schema)
    return {
        "type": "json_schema",
        "json_schema": {
            "name": described.get("title") or "output",
            "schema": described,
            "strict": strict is not False,
        },
    }
