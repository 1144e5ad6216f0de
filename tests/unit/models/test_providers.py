"""Models of Anthropic, Gemini and Ollama: where their keys and addresses come from."""

from __future__ import annotations

import pytest

from resilient_ai.errors import ConfigError
from resilient_ai.models import AnthropicModel, GeminiModel, OllamaModel
from resilient_ai.models.naming import model_of
from resilient_ai.models.wire.ollama import Ollama

VARIABLES = [
    "ANTHROPIC_API_KEY",
    "ANTHROPIC_BASE_URL",
    "GEMINI_API_KEY",
    "GOOGLE_API_KEY",
    "GOOGLE_GEMINI_BASE_URL",
    "OLLAMA_HOST",
]


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in VARIABLES:
        monkeypatch.delenv(variable, raising=False)


@pytest.mark.parametrize(
    ("make", "variable"), [(AnthropicModel, "ANTHROPIC_API_KEY"), (GeminiModel, "GEMINI_API_KEY")]
)
def test_a_missing_key_is_told_at_once_with_the_variable_to_set(
    make: type[AnthropicModel | GeminiModel], variable: str
) -> None:
    with pytest.raises(ConfigError, match=variable):
        make("m")


@pytest.mark.parametrize(
    ("name", "variable", "host"),
    [
        ("anthropic:claude-sonnet-5", "ANTHROPIC_API_KEY", "api.anthropic.com"),
        ("gemini:gemini-3-pro", "GEMINI_API_KEY", "generativelanguage.googleapis.com"),
        ("google:gemini-3-pro", "GOOGLE_API_KEY", "generativelanguage.googleapis.com"),
        ("ollama:llama3.2", "OLLAMA_HOST", "127.0.0.1"),
    ],
)
def test_a_name_is_enough_where_the_environment_holds_the_key(
    monkeypatch: pytest.MonkeyPatch, name: str, variable: str, host: str
) -> None:
    monkeypatch.setenv(variable, "127.0.0.1" if variable == "OLLAMA_HOST" else "a-key-of-the-environment")
    model = model_of(name)
    assert model.name == name.partition(":")[2]
    assert model.traits.server_address == host
    assert "a-key-of-the-environment" not in repr(model) + model.key


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("http://127.0.0.1:8000", "http://127.0.0.1:8000"),
        ("http://127.0.0.1:8000/v1", "http://127.0.0.1:8000"),
        ("http://127.0.0.1:8000/anthropic/v1/", "http://127.0.0.1:8000/anthropic"),
    ],
)
def test_an_address_of_anthropic_may_name_the_version(given: str, meant: str) -> None:
    assert f"@{meant}#" in AnthropicModel("m", base_url=given).key


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("http://127.0.0.1:8000", "http://127.0.0.1:8000/v1beta"),
        ("http://127.0.0.1:8000/v1/", "http://127.0.0.1:8000/v1"),
        (
            "http://x.test/v1beta1/projects/p/publishers/google",
            "http://x.test/v1beta1/projects/p/publishers/google",
        ),
    ],
)
def test_an_address_of_gemini_may_leave_the_version_out(given: str, meant: str) -> None:
    assert f"@{meant}#" in GeminiModel("models/m", base_url=given).key


@pytest.mark.parametrize(
    ("told", "meant"),
    [
        ("", "http://127.0.0.1:11434"),
        ("0.0.0.0", "http://127.0.0.1:11434"),  # noqa: S104 - read, not bound
        ("box:8080", "http://box:8080"),
        ("[::1]", "http://[::1]:11434"),
        ("https://box.test/", "https://box.test"),
    ],
)
def test_the_server_of_ollama_is_found_as_ollama_itself_finds_it(
    monkeypatch: pytest.MonkeyPatch, told: str, meant: str
) -> None:
    monkeypatch.setenv("OLLAMA_HOST", told)
    assert f"@{meant}#" in OllamaModel("m").key


def test_the_context_ollama_loads_is_the_context_the_model_has() -> None:
    model = OllamaModel("m", num_ctx=8192, keep_alive="10m")
    assert model.traits.context_tokens == 8192
    assert OllamaModel("m", num_ctx=8192, context_tokens=4096).traits.context_tokens == 4096
    assert model.codec == Ollama(num_ctx=8192, keep_alive="10m")


@pytest.mark.parametrize("make", [AnthropicModel, GeminiModel, OllamaModel])
def test_an_unusable_address_is_told_at_once(make: type[AnthropicModel | GeminiModel | OllamaModel]) -> None:
    with pytest.raises(ConfigError, match="base_url"):
        make("m", base_url="ftp://x.test", api_key="k")


@pytest.mark.parametrize(
    ("name", "address", "local"),
    [
        ("llama3.2", None, True),
        ("llama3.2", "http://localhost:8080", True),
        ("llama3.2", "http://[::1]:11434", True),
        ("llama3.2", "http://box.test:11434", False),
        ("gpt-oss:120b-cloud", None, False),
        ("glm-5:cloud", None, False),
    ],
)
def test_only_what_stays_on_the_device_counts_as_local(name: str, address: str | None, local: bool) -> None:  # noqa: FBT001 - parametrised
    assert OllamaModel(name, base_url=address).traits.local is local
