from __future__ import annotations

import contextlib
import hashlib
import struct
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import tiny_gguf
from resilient_ai.errors import ConfigError
from resilient_ai.models.on_device import gguf


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_gguf.write(tmp_path_factory.mktemp("gguf") / "tiny.gguf")


def _header(*entries: bytes, tensors: bytes = b"", tensor_count: int = 1, version: int = 3) -> bytes:
    return b"GGUF" + struct.pack("<IQQ", version, tensor_count, len(entries)) + b"".join(entries) + tensors


def _string(text: str) -> bytes:
    return struct.pack("<Q", len(text.encode())) + text.encode()


def _text_entry(name: str, value: str) -> bytes:
    return _string(name) + struct.pack("<I", 8) + _string(value)


def _number_entry(name: str, value: int) -> bytes:
    return _string(name) + struct.pack("<II", 4, value)


def _tensor(*shape: int, kind: int = 0, offset: int = 0) -> bytes:
    return _string("t") + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, kind, offset)


LLAMA = _text_entry("general.architecture", "llama")


def _refusal(path: Path, content: bytes) -> str:
    path.write_bytes(content)
    with pytest.raises(ConfigError) as refused:
        gguf.inspect(path)
    assert refused.value.path == str(path)
    return str(refused.value)


def test_a_good_file_tells_its_architecture_context_and_control_tokens(model: Path) -> None:
    file = gguf.inspect(model)

    assert file.architecture == "llama"
    assert file.context_tokens == 2048
    assert set(file.control_tokens) == set(tiny_gguf.CONTROL)
    assert file.path == model.resolve()
    assert file.identity == gguf.identify(model)


def test_a_file_cut_anywhere_is_refused(model: Path, tmp_path: Path) -> None:
    whole = model.read_bytes()
    cut = tmp_path / "cut.gguf"

    for length in [0, 3, 4, 23, 24, 100, 5000, len(whole) // 2, len(whole) - 1]:
        refusal = _refusal(cut, whole[:length])
        assert "truncated" in refusal or "does not begin with GGUF" in refusal


def test_a_whole_file_may_be_followed_by_padding(model: Path, tmp_path: Path) -> None:
    padded = tmp_path / "padded.gguf"
    padded.write_bytes(model.read_bytes() + bytes(64))

    assert gguf.inspect(padded).architecture == "llama"


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(at=st.integers(0, 12_000), bits=st.integers(1, 255))
def test_a_flipped_byte_gives_a_file_or_a_config_error_never_another_exception(
    model: Path, tmp_path: Path, at: int, bits: int
) -> None:
    data = bytearray(model.read_bytes())
    data[at] ^= bits
    flipped = tmp_path / "flipped.gguf"
    flipped.write_bytes(data)

    with contextlib.suppress(ConfigError):
        gguf.inspect(flipped)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"PK\x03\x04" + bytes(100), "does not begin with GGUF"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "LFS pointer"),
        (_header(version=1), "version 1"),
        (_header(version=3 << 24), "big-endian"),
        (_header(tensor_count=0), "no tensors"),
        (_header(tensor_count=2**40), "claims 1099511627776 tensors"),
        (_header(_string("a") + struct.pack("<I", 77)), "unusable type 77"),
        (_header(_string("a") + struct.pack("<IIQ", 9, 9, 1) + bytes(8)), "unusable type 9"),
        (_header(_string("a") + struct.pack("<IIQ", 9, 4, 2**60)), "array claims"),
        (_header(LLAMA, tensors=_tensor(4, 4, 4, 4, 4) + bytes(4096)), "5 dimensions"),
        (_header(LLAMA, tensors=_tensor(4, offset=8) + bytes(256)), "not aligned"),
        (_header(LLAMA, tensors=_tensor(33, kind=8) + bytes(256)), "does not fit its type"),
        (_header(LLAMA, tensors=_tensor(2**62, 4) + bytes(256)), "truncated"),
        (_header(LLAMA, tensors=_tensor(1024) + bytes(256)), "bytes are missing at its end"),
        (
            _header(LLAMA, _number_entry("general.alignment", 24), tensors=_tensor(4) + bytes(256)),
            "power of two",
        ),
        (_header(_text_entry("general.name", "x"), tensors=_tensor(4) + bytes(256)), "no architecture"),
        (
            _header(LLAMA, _number_entry("split.count", 3), tensors=_tensor(4) + bytes(256)),
            "one of 3 parts",
        ),
    ],
)
def test_the_refusal_names_what_is_wrong(tmp_path: Path, content: bytes, words: str) -> None:
    assert words in _refusal(tmp_path / "bad.gguf", content)


def test_a_missing_file_and_a_directory_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such model file"):
        gguf.inspect(tmp_path / "absent.gguf")
    with pytest.raises(ConfigError, match="cannot be read"):
        gguf.inspect(tmp_path)


def test_a_header_beyond_the_bound_is_refused_without_reading_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gguf, "_READ_BYTES", 100)
    monkeypatch.setattr(gguf, "MAX_HEADER_BYTES", 1000)
    entry = _text_entry("general.description", "x" * 2000)

    assert "larger than 1000 bytes" in _refusal(tmp_path / "long.gguf", _header(entry))


def test_a_pinned_file_must_have_that_hash(model: Path) -> None:
    digest = hashlib.sha256(model.read_bytes()).hexdigest()

    assert gguf.inspect(model, sha256=digest.upper()).architecture == "llama"
    with pytest.raises(ConfigError, match="not the one pinned"):
        gguf.inspect(model, sha256="0" * 64)


def test_tokens_that_look_like_control_are_taken_for_it_whatever_the_file_calls_them(tmp_path: Path) -> None:
    tokens = ["hello", "<|im_end|>", "</s>", "<end_of_turn>", "<div>", "\n\n", "<unk>"]
    kinds = [1, 1, 4, 4, 4, 4, 2]
    listed = _string("tokenizer.ggml.tokens") + struct.pack("<IIQ", 9, 8, len(tokens))
    typed = _string("tokenizer.ggml.token_type") + struct.pack(f"<IIQ{len(kinds)}i", 9, 5, len(kinds), *kinds)
    path = tmp_path / "tokens.gguf"
    path.write_bytes(
        _header(LLAMA, listed + b"".join(map(_string, tokens)), typed, tensors=_tensor(4) + bytes(256))
    )

    assert gguf.inspect(path).control_tokens == ("</s>", "<end_of_turn>", "<unk>", "<|im_end|>")
