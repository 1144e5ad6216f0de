"""`ResilientLLM`: a chain as a LlamaIndex `LLM` that can call functions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

from llama_index.core.base.llms.types import (
    ChatMessage,
    ChatResponse,
    ChatResponseAsyncGen,
    ChatResponseGen,
    CompletionResponse,
    CompletionResponseAsyncGen,
    CompletionResponseGen,
    LLMMetadata,
    MessageRole,
    ToolCallBlock,
)
from llama_index.core.bridge.pydantic import ConfigDict, Field, field_validator
from llama_index.core.constants import DEFAULT_CONTEXT_WINDOW, DEFAULT_NUM_OUTPUTS
from llama_index.core.llms.callbacks import (
    llm_chat_callback,  # pyright: ignore[reportUnknownVariableType]
    llm_completion_callback,  # pyright: ignore[reportUnknownVariableType]
)
from llama_index.core.llms.function_calling import FunctionCallingLLM
from llama_index.core.llms.llm import ToolSelection
from llama_index.core.llms.utils import parse_partial_json  # pyright: ignore[reportUnknownVariableType]

from resilient_ai.frameworks.contract import arguments, usable
from resilient_ai.frameworks.llama_index.messages import messages_of
from resilient_ai.frameworks.llama_index.replies import Growing, chat_of, completion_of
from resilient_ai.frameworks.llama_index.streams import aitems, items
from resilient_ai.messages import DataClassName, Message, Request, Text
from resilient_ai.model import ResilientModel

if TYPE_CHECKING:
    from llama_index.core.prompts import PromptTemplate
    from llama_index.core.tools.types import BaseTool
    from pydantic import BaseModel

_Method = TypeVar("_Method", bound="Callable[..., Any]")
_Answer = TypeVar("_Answer", bound="BaseModel")

_PARAMETERS: Final = ("temperature", "max_tokens", "deadline", "data_class")


def _chat_told(method: _Method) -> _Method:
    """`method` with LlamaIndex's callbacks and instrumentation around it; its own decorator has no types."""
    return cast("_Method", llm_chat_callback()(method))


def _completion_told(method: _Method) -> _Method:
    """As `_chat_told`, for a completion."""
    return cast("_Method", llm_completion_callback()(method))


class ResilientLLM(FunctionCallingLLM):
    """A chain as a LlamaIndex LLM. Blocking calls start no event loop, asynchronous ones no thread.

    Who answered stands in `response.additional_kwargs`: `model`, `provider`, and under `outcome` the whole history (`served_by`, `degraded`,
    `attempts`, ...); a stream tells it with its last item. A failed call raises this library's errors: LlamaIndex has none of its own.

    `structured_predict` holds the chain itself to the type: an answer that does not fit is asked for again, and then the next model is asked.

    Attributes:
        model: The chain. It stays the caller's to close.
        temperature: Sampling temperature.
        max_tokens: Upper bound of output tokens.
        deadline: Seconds each call may take, instead of the chain's.
        data_class: How sensitive the content is; models not cleared for it are skipped.
        context_window: Tokens LlamaIndex may pack into a request; None takes those of the chain's first model.
        function_calling: Whether the models of the chain can call functions.
    """

    model_config = ConfigDict(extra="forbid", arbitrary_types_allowed=True)

    model: ResilientModel = Field(exclude=True)
    temperature: float | None = None
    max_tokens: int | None = None
    deadline: float | None = None
    data_class: DataClassName | None = None
    context_window: int | None = None
    function_calling: bool = True

    @field_validator("model", mode="before")
    @classmethod
    def _usable(cls, model: object) -> ResilientModel:
        return usable(model)

    @classmethod
    def class_name(cls) -> str:
        return "ResilientLLM"

    @property
    def metadata(self) -> LLMMetadata:
        first = self.model.plan.hops[0].model
        return LLMMetadata(
            context_window=self.context_window or first.traits.context_tokens or DEFAULT_CONTEXT_WINDOW,
            num_output=self.max_tokens or DEFAULT_NUM_OUTPUTS,
            is_chat_model=True,
            is_function_calling_model=self.function_calling,
            model_name=first.name,
        )

    # --- chat ---------------------------------------------------------------------------------------------------------

    @_chat_told
    def chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:
        request, options = self._asked(messages_of(messages), kwargs)
        return chat_of(self.model.generate(request, **options))

    @_chat_told
    async def achat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:
        request, options = self._asked(messages_of(messages), kwargs)
        return chat_of(await self.model.agenerate(request, **options))

    @_chat_told
    def stream_chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponseGen:
        request, options = self._asked(messages_of(messages), kwargs)
        stream = self.model.stream(request, **options)
        return items(stream, Growing().chat, partial(chat_of, delta=""))

    @_chat_told
    async def astream_chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponseAsyncGen:
        request, options = self._asked(messages_of(messages), kwargs)
        stream = self.model.astream(request, **options)
        return aitems(stream, Growing().chat, partial(chat_of, delta=""))

    # --- completion ---------------------------------------------------------------------------------------------------

    @_completion_told
    def complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponse:
        request, options = self._asked(_question(prompt), kwargs)
        return completion_of(self.model.generate(request, **options))

    @_completion_told
    async def acomplete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponse:
        request, options = self._asked(_question(prompt), kwargs)
        return completion_of(await self.model.agenerate(request, **options))

    @_completion_told
    def stream_complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponseGen:
        request, options = self._asked(_question(prompt), kwargs)
        stream = self.model.stream(request, **options)
        return items(stream, Growing().completion, partial(completion_of, delta=""))

    @_completion_told
    async def astream_complete(
        self,
        prompt: str,
        formatted: bool = False,
        **kwargs: Any,
    ) -> CompletionResponseAsyncGen:
        request, options = self._asked(_question(prompt), kwargs)
        stream = self.model.astream(request, **options)
        return aitems(stream, Growing().completion, partial(completion_of, delta=""))

    # --- structured output and functions ------------------------------------------------------------------------------

    def structured_predict(
        self,
        output_cls: type[_Answer],
        prompt: PromptTemplate,
        llm_kwargs: dict[str, Any] | None = None,
        **prompt_args: Any,
    ) -> _Answer:
        messages = self._extend_messages(prompt.format_messages(**prompt_args))
        request, options = self._asked(messages_of(messages), llm_kwargs or {})
        reply = self.model.generate(request, output_type=output_cls, **options)
        return cast("_Answer", reply.output)

    async def astructured_predict(
        self,
        output_cls: type[_Answer],
        prompt: PromptTemplate,
        llm_kwargs: dict[str, Any] | None = None,
        **prompt_args: Any,
    ) -> _Answer:
        messages = self._extend_messages(prompt.format_messages(**prompt_args))
        request, options = self._asked(messages_of(messages), llm_kwargs or {})
        reply = await self.model.agenerate(request, output_type=output_cls, **options)
        return cast("_Answer", reply.output)

    def _prepare_chat_with_tools(
        self,
        tools: Sequence[BaseTool],
        user_msg: str | ChatMessage | None = None,
        chat_history: list[ChatMessage] | None = None,
        verbose: bool = False,
        allow_parallel_tool_calls: bool = False,
        tool_required: bool = False,
        **kwargs: Any,
    ) -> dict[str, Any]:
        messages = list(chat_history or ())
        if user_msg is not None:
            asked = (
                ChatMessage(role=MessageRole.USER, content=user_msg)
                if isinstance(user_msg, str)
                else user_msg
            )
            messages.append(asked)
        prepared: dict[str, Any] = {"messages": messages, **kwargs}
        if tools:
            prepared["tools"] = [tool.metadata.to_openai_tool(skip_length_check=True) for tool in tools]
            prepared["parallel_tool_calls"] = allow_parallel_tool_calls
            if tool_required:
                prepared.setdefault("tool_choice", "required")
        return prepared

    def _validate_chat_with_tools_response(
        self,
        response: ChatResponse,
        tools: Sequence[BaseTool],
        allow_parallel_tool_calls: bool = False,
        **kwargs: Any,
    ) -> ChatResponse:
        """Keeps the first call where one was asked for: not every provider knows how to ask for one."""
        if not allow_parallel_tool_calls:
            blocks = response.message.blocks
            calls = [id(block) for block in blocks if isinstance(block, ToolCallBlock)]
            response.message.blocks = [block for block in blocks if id(block) not in calls[1:]]
        return response

    def get_tool_calls_from_response(
        self,
        response: ChatResponse,
        error_on_no_tool_call: bool = True,
        **kwargs: Any,
    ) -> list[ToolSelection]:
        """The calls in `response`; those of a stream may still be growing.

        Raises:
            ValueError: There are none, and there had to be one.
        """
        calls = [block for block in response.message.blocks if isinstance(block, ToolCallBlock)]
        if not calls and error_on_no_tool_call:
            raise ValueError("The model called no tool, and one was expected.")
        return [
            ToolSelection(
                tool_id=call.tool_call_id or "", tool_name=call.tool_name, tool_kwargs=_arguments(call)
            )
            for call in calls
        ]

    def _asked(
        self, messages: tuple[Message, ...], kwargs: Mapping[str, Any]
    ) -> tuple[Request, dict[str, Any]]:
        """The conversation, and the arguments for the chain."""
        own = {name: value for name in _PARAMETERS if (value := getattr(self, name)) is not None}
        schema, options = arguments(own, kwargs)
        return Request(messages, output_schema=schema), options


def _question(prompt: str) -> tuple[Message, ...]:
    return (Message("user", (Text(prompt),)),)


def _arguments(call: ToolCallBlock) -> dict[str, Any]:
    if not isinstance(call.tool_kwargs, str):
        return call.tool_kwargs
    try:
        found = cast("object", parse_partial_json(call.tool_kwargs))
    except ValueError:  # not yet, or never: the tool says which arguments it lacks
        return {}
    return cast("dict[str, Any]", found) if isinstance(found, dict) else {}
