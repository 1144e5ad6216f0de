"""Writes GGUF models with random weights that llama.cpp really loads. They know nothing, but answer valid JSON under a schema."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import gguf
import numpy as np

CONTROL: Final = ("<|bos|>", "<|user|>", "<|end|>", "<|assistant|>")
LAYERS: Final = 2
HEADS: Final = 4

# As naive as templates in the wild are: it trusts the text, and lower-cases it.
TEMPLATE: Final = (
    "{{- '<|bos|>' -}}"
    "{%- for m in messages -%}{{- '<|user|>' + (m['content'] | lower) + '<|end|>' -}}{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{- '<|assistant|>' -}}{%- endif -%}"
)


def write(path: Path, *, width: int = 64, context: int = 2048, seed: int = 0) -> Path:
    """A llama-architecture model with a byte tokenizer. Cost grows with the square of `width`."""
    tokens = [*_byte_tokens(), "th", *CONTROL]
    first_control = len(tokens) - len(CONTROL)
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name("random")
    writer.add_context_length(context)
    writer.add_embedding_length(width)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(2 * width)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(width // HEADS)
    writer.add_vocab_size(len(tokens))
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens)
    normal, control = int(gguf.TokenType.NORMAL), int(gguf.TokenType.CONTROL)
    writer.add_token_types([normal] * first_control + [control] * len(CONTROL))
    writer.add_token_merges(["t h"])
    writer.add_bos_token_id(first_control)
    writer.add_eos_token_id(tokens.index("<|end|>"))
    writer.add_add_bos_token(False)
    writer.add_chat_template(TEMPLATE)
    for name, values in _weights(width, len(tokens), seed).items():
        writer.add_tensor(name, values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _byte_tokens() -> list[str]:
    """The 256 bytes as GPT-2 writes them: printable ones as they are, the others moved beyond U+0100."""
    printable = {*range(33, 127), *range(161, 173), *range(174, 256)}
    moved = iter(range(256, 512))
    return [chr(byte) if byte in printable else chr(next(moved)) for byte in range(256)]


def _weights(
    width: int, vocabulary: int, seed: int
) -> dict[str, np.ndarray[tuple[int, ...], np.dtype[np.float32]]]:
    draw = np.random.default_rng(seed)

    def matrix(rows: int, columns: int) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
        return (draw.standard_normal((rows, columns)) * 0.05).astype(np.float32)

    ones = np.ones(width, dtype=np.float32)
    weights = {"token_embd.weight": matrix(vocabulary, width), "output_norm.weight": ones}
    for layer in range(LAYERS):
        block = f"blk.{layer}."
        weights |= {block + "attn_norm.weight": ones, block + "ffn_norm.weight": ones}
        weights |= {
            f"{block}{name}.weight": matrix(width, width)
            for name in ("attn_q", "attn_k", "attn_v", "attn_output")
        }
        weights |= {f"{block}{name}.weight": matrix(2 * width, width) for name in ("ffn_gate", "ffn_up")}
        weights[block + "ffn_down.weight"] = matrix(width, 2 * width)
    return weights
