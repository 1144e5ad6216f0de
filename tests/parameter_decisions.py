"""What was decided for every parameter of the official clients when a request moves to another format, with a value that shows it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from resilient_ai.messages import JSON

BODIES: Final[dict[str, dict[str, JSON]]] = {
    "openai-chat": {"model": "m", "messages": [{"role": "user", "content": "?"}]},
    "openai-responses": {"model": "m", "input": "?"},
    "anthropic": {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "?"}]},
}
SCHEMA: Final[JSON] = {"type": "object", "properties": {}, "additionalProperties": False}
FUNCTION: Final[JSON] = {"type": "function", "function": {"name": "f", "parameters": SCHEMA}}

Decisions = Mapping[str, JSON]

CARRIED: Final[dict[str, Decisions]] = {
    "openai-chat": {
        "max_completion_tokens": 5,
        "max_tokens": 5,
        "parallel_tool_calls": False,
        "reasoning_effort": "low",
        "response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": SCHEMA}},
        "seed": 7,
        "stop": ["x"],
        "temperature": 0.5,
        "tool_choice": "auto",
        "tools": [FUNCTION],
        "top_p": 0.5,
        "stream_options": {"include_usage": True},
        "n": 1,
    },
    "openai-responses": {
        "instructions": "Be brief.",
        "max_output_tokens": 5,
        "parallel_tool_calls": False,
        "reasoning": {"effort": "low"},
        "temperature": 0.5,
        "text": {"format": {"type": "json_schema", "name": "a", "schema": SCHEMA}},
        "tool_choice": "auto",
        "tools": [{"type": "function", "name": "f", "parameters": SCHEMA, "strict": True}],
        "top_p": 0.5,
    },
    "anthropic": {
        "max_tokens": 5,
        "output_config": {"format": {"type": "json_schema", "schema": SCHEMA}, "effort": "low"},
        "stop_sequences": ["x"],
        "system": "Be brief.",
        "temperature": 0.5,
        "tool_choice": {"type": "auto", "disable_parallel_tool_use": True},
        "tools": [{"name": "f", "input_schema": SCHEMA}],
        "top_p": 0.5,
        "cache_control": {"type": "ephemeral"},
    },
}
"""Said in the other formats too, as far as they have it. The last ones of a format say what every model does anyway."""

DROPPED: Final[dict[str, Decisions]] = {
    "openai-chat": {
        "frequency_penalty": 1,
        "logit_bias": {"50256": -1},
        "metadata": {"a": "b"},
        "prediction": {"type": "content", "content": "?"},
        "presence_penalty": 1,
        "prompt_cache_key": "k",
        "prompt_cache_options": {"mode": "explicit"},
        "prompt_cache_retention": "24h",
        "safety_identifier": "u",
        "service_tier": "flex",
        "store": True,
        "user": "u",
        "verbosity": "low",
    },
    "openai-responses": {
        "access_programs": {"cyber": "standard"},
        "background_options": {"completion_window": "2h"},
        "context_management": [{"type": "compaction", "compact_threshold": 100_000}],
        "image": {"context_compression": "auto"},
        "include": ["reasoning.encrypted_content"],
        "max_tool_calls": 3,
        "metadata": {"a": "b"},
        "prompt_cache_key": "k",
        "prompt_cache_options": {"mode": "explicit"},
        "prompt_cache_retention": "24h",
        "safety_identifier": "u",
        "service_tier": "flex",
        "store": False,
        "stream_options": {"include_obfuscation": False},
        "truncation": "auto",
        "user": "u",
    },
    "anthropic": {
        "diagnostics": {"previous_message_id": "msg_1"},
        "metadata": {"user_id": "u"},
        "service_tier": "auto",
        "speed": "fast",
        "thinking": {"type": "adaptive"},
    },
}
"""Tunes a model, its price or what its provider keeps of it; the reply's flags name it."""

REFUSED: Final[dict[str, Decisions]] = {
    "openai-chat": {
        "audio": {"voice": "alloy", "format": "wav"},
        "function_call": "auto",
        "functions": [{"name": "f"}],
        "logit_bias": {"50256": -100},
        "logprobs": True,
        "modalities": ["text", "audio"],
        "moderation": {"model": "omni-moderation-latest"},
        "n": 2,
        "response_format": {"type": "grammar"},
        "tool_choice": {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": []}},
        "tools": [FUNCTION, {"type": "custom", "custom": {"name": "g"}}],
        "top_logprobs": 3,
        "web_search_options": {"search_context_size": "low"},
    },
    "openai-responses": {
        "background": True,
        "conversation": "conv_1",
        "include": ["message.output_text.logprobs"],
        "moderation": {"model": "omni-moderation-latest"},
        "previous_response_id": "resp_1",
        "prompt": {"id": "pmpt_1"},
        "tool_choice": {"type": "file_search"},
        "tools": [{"type": "web_search"}],
        "top_logprobs": 3,
    },
    "anthropic": {
        "container": "container_1",
        "inference_geo": "eu",
        "tools": [{"type": "web_search_20250305", "name": "web_search"}],
    },
}
"""Says what is asked, who may read it or what comes back, and no other format can say it."""

BESIDE: Final[dict[str, tuple[str, Decisions, Decisions]]] = {
    "anthropic beta": (
        "anthropic",
        {
            "context_management": {"edits": [{"type": "clear_tool_uses_20250919"}]},
            "fallback_credit_token": "t",
            "fallbacks": "default",
            "billing_policy": {"type": "billing_policy", "bill_to": "self"},
        },
        {
            "billing_policy": {"type": "billing_policy", "bill_to": "user_profile"},
            "compaction": {"type": "summary"},
            "mcp_servers": [{"type": "url", "url": "https://x.example", "name": "x"}],
            "thread": {"type": "create"},
        },
    ),
    "groq": (
        "openai-chat",
        {
            "citation_options": "enabled",
            "disable_tool_validation": True,
            "include_reasoning": False,
            "reasoning_format": "hidden",
        },
        {
            "compound_custom": {"models": {}},
            "documents": [{"source": {"type": "text", "text": "x"}}],
            "exclude_domains": ["x.example"],
            "include_domains": ["x.example"],
            "search_settings": {"country": "ch"},
        },
    ),
    "together": (
        "openai-chat",
        {
            "chat_template_kwargs": {"enable_thinking": False},
            "context_length_exceeded_behavior": "truncate",
            "min_p": 0.1,
            "reasoning": {"enabled": True},
            "repetition_penalty": 1.1,
            "top_k": 40,
        },
        {"compliance": "hipaa", "echo": True, "safety_model": "guard"},
    ),
}
"""Clients that speak one of the formats and know more: the format, what is dropped and what is refused."""

SECRET: Final = "opaque-state-9f3c"
CONVERSATIONS: Final[dict[str, dict[str, JSON]]] = {
    "openai-chat": {
        "messages": [
            {"role": "user", "content": "?"},
            {
                "role": "assistant",
                "content": "Hm.",
                "reasoning_content": "thinking",
                "reasoning_details": [{"type": "reasoning.encrypted", "data": SECRET}],
                "tool_calls": [
                    {
                        "id": "c1",
                        "type": "function",
                        "function": {"name": "f", "arguments": "{}"},
                        "extra_content": {"google": {"thought_signature": SECRET}},
                    }
                ],
            },
            {"role": "tool", "tool_call_id": "c1", "content": "x"},
        ]
    },
    "openai-responses": {
        "input": [
            {"role": "user", "content": "?"},
            {"type": "reasoning", "id": f"rs_{SECRET}", "summary": [], "encrypted_content": SECRET},
            {"type": "function_call", "id": f"fc_{SECRET}", "call_id": "c1", "name": "f", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "c1", "output": "x"},
        ]
    },
    "anthropic": {
        "messages": [
            {"role": "user", "content": "?"},
            {
                "role": "assistant",
                "content": [
                    {"type": "thinking", "thinking": "hm", "signature": SECRET},
                    {"type": "redacted_thinking", "data": SECRET},
                    {"type": "text", "text": "Hm."},
                    {"type": "tool_use", "id": "c1", "name": "f", "input": {}, "caller": {"type": SECRET}},
                ],
            },
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c1", "content": "x"}]},
        ],
        "max_tokens": 9,
    },
    "gemini": {
        "contents": [
            {"role": "user", "parts": [{"text": "?"}]},
            {
                "role": "model",
                "parts": [
                    {"text": "hm", "thought": True},
                    {"text": "Hm.", "thoughtSignature": SECRET},
                    {"functionCall": {"name": "f", "args": {}}, "thoughtSignature": SECRET},
                ],
            },
            {"role": "user", "parts": [{"functionResponse": {"name": "f", "response": {"x": 1}}}]},
        ]
    },
}
"""Conversations full of what only the provider they come from can read."""
