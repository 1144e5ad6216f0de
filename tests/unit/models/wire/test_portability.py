from __future__ import annotations

import pytest

from resilient_ai import ModelError, ResilientModel
from resilient_ai.messages import JSON, Message, Reasoning, Request, Text, ToolCall
from resilient_ai.models import AnthropicModel
from resilient_ai.models.wire.openai_chat import OpenAIChat
from resilient_ai.models.wire.openai_responses import OpenAIResponses
from resilient_ai.models.wire.portability import unportable, without_opaque

TOOL: JSON = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}


def chat(**fields: JSON) -> Request:
    return OpenAIChat().decode_request({"messages": [{"role": "user", "content": "?"}], **fields})


def responses(**fields: JSON) -> Request:
    return OpenAIResponses().decode_request({"input": "?", **fields})


@pytest.mark.parametrize(
    "request_",
    [
        chat(),
        chat(n=1, logprobs=False, top_logprobs=0, modalities=["text"], tools=[TOOL], tool_choice="auto"),
        chat(
            user="u",
            frequency_penalty=1,
            logit_bias={},
            store=True,
            service_tier="auto",
            web_search_options=None,
        ),
        responses(store=False, include=["reasoning.encrypted_content"], truncation="auto", background=False),
        responses(previous_response_id=None, tools=[], text={"verbosity": "low"}, metadata={"a": "b"}),
    ],
)
def test_what_every_model_can_do_may_move(request_: Request) -> None:
    assert unportable(request_) is None


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (chat(n=2), "n"),
        (chat(logprobs=True), "logprobs"),
        (chat(top_logprobs=3), "top_logprobs"),
        (chat(modalities=["text", "audio"]), "modalities"),
        (chat(audio={"voice": "alloy"}), "audio"),
        (chat(functions=[{"name": "f"}]), "functions"),
        (chat(tools=[TOOL, {"type": "custom", "custom": {"name": "g"}}]), "tools"),
        (chat(tool_choice={"type": "allowed_tools"}), "tool_choice"),
        (chat(web_search_options={"search_context_size": "low"}), "web_search_options"),
        (chat(plugins=[{"id": "web"}]), "plugins"),
        (chat(response_format={"type": "grammar"}), "response_format"),
        (responses(previous_response_id="resp_1"), "previous_response_id"),
        (responses(conversation="conv_1"), "conversation"),
        (responses(prompt={"id": "pmpt_1"}), "prompt"),
        (responses(tools=[{"type": "web_search"}]), "tools"),
        (responses(include=["message.output_text.logprobs"]), "include"),
        (responses(background=True), "background"),
    ],
)
def test_what_only_one_format_can_do_stays_and_is_named(request_: Request, field: str) -> None:
    assert unportable(request_) == field


def test_a_document_in_a_message_stays_and_its_place_is_named() -> None:
    part: JSON = {"type": "file", "file": {"file_id": "f1"}}
    body: dict[str, JSON] = {"messages": [{"role": "user", "content": [{"type": "text", "text": "?"}, part]}]}
    assert unportable(OpenAIChat().decode_request(body)) == "messages[0].content[1].file"


def test_parameters_meant_for_every_format_do_not_bind_a_request() -> None:
    request = Request((Message("user", (Text("?"),)),), extra={"n": 2})
    assert unportable(request) is None


def test_private_state_is_taken_off_and_nothing_else() -> None:
    request = Request(
        (
            Message("user", (Text("?"),)),
            Message(
                "assistant", (Reasoning("hm", {"signature": "x"}), ToolCall("1", "f", "{}", {"id": "fc_1"}))
            ),
        )
    )
    assert without_opaque(request).messages == (
        Message("user", (Text("?"),)),
        Message("assistant", (Reasoning("hm"), ToolCall("1", "f", "{}"))),
    )
    plain = without_opaque(request)
    assert without_opaque(plain) is plain


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        ("file", "messages[0].content[0].file"),
        ("my mother. is ill. today", "messages[0].content[0]"),
        ("x" * 500, "messages[0].content[0]"),
    ],
)
def test_a_place_is_told_by_names_and_not_by_words_that_stand_where_a_type_should(
    kind: str, told: str
) -> None:
    conversation: list[dict[str, JSON]] = [{"role": "user", "content": [{"type": kind}]}]
    foreign = chat(messages=conversation)
    assert unportable(foreign) == told
    assert repr(foreign.messages[0].parts[0]) == f"Foreign(format='openai-chat', field={told!r})"
    model = ResilientModel([AnthropicModel("claude-sonnet-5", api_key="key-of-nobody")])
    with pytest.raises(ModelError) as refused:
        model.generate(conversation)
    model.close()
    assert str(refused.value).endswith(
        f"moved to this model: {told}: it exists only in the format openai-chat"
    )  # and nothing of a provider's words: nothing was sent
    assert (kind in str(refused.value)) is (kind == "file")
