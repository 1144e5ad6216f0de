"""Writes a llama-architecture model as a GGUF file that llama.cpp loads as it is; needs `gguf` and numpy, not torch.

``python -m examples.triage.export_gguf OUT`` writes a tiny model with random weights: 0.1 MB in well under a second.
It knows nothing, but under a JSON schema it answers valid JSON, which makes it the right fixture for tests of
everything around a model.
"""

import argparse
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import gguf
import numpy as np
from examples.triage import bpe

NORM_EPSILON = 1e-5
ROPE_BASE = 10_000.0

# The file asks llama.cpp for this rendering. The model was trained on single messages in lower case, so only the last
# user turn is rendered, whatever conversation was written for the large model it stands in for. Two traps are met
# here: a template that never reads the system role makes llama.cpp glue the system prompt to the user's turn, hence
# the unused `system`; and a control token spelled in a ticket would be tokenized as the real one, hence `replace`.
CHAT_TEMPLATE = (
    "{%- set ns = namespace(user='', system='') -%}"
    "{%- for message in messages -%}"
    "{%- if message['role'] == 'system' -%}{%- set ns.system = message['content'] -%}"
    "{%- elif message['role'] == 'user' -%}{%- set ns.user = message['content'] -%}"
    "{%- endif -%}"
    "{%- endfor -%}"
    f"{{{{- '{bpe.BOS}{bpe.USER}' + (ns.user | lower | trim | replace('<|', '< ')) + '{bpe.END}' -}}}}"
    f"{{%- if add_generation_prompt -%}}{{{{- '{bpe.ASSISTANT}' -}}}}{{%- endif -%}}"
)


@dataclass(frozen=True, slots=True)
class Shape:
    """The sizes of a model; `width` and `hidden` are multiples of 32, the block size of Q8_0."""

    width: int
    layers: int
    heads: int
    kv_heads: int
    hidden: int
    context: int

    @property
    def head_width(self) -> int:
        return self.width // self.heads


TINY = Shape(width=64, layers=2, heads=4, kv_heads=2, hidden=128, context=2048)

Weights = Mapping[str, np.ndarray]


def export(path: Path, shape: Shape, weights: Weights, tokenizer: bpe.Tokenizer, *, name: str) -> None:
    """Writes the model, its tokenizer and its chat template to `path`.

    Matrices are quantized to Q8_0, vectors stay float32. The head is tied to the embedding: llama.cpp uses
    ``token_embd`` when the file has no ``output``. Query and key rows are expected in llama.cpp's interleaved order.

    Args:
        path: The file to write.
        shape: The sizes, as they go into the metadata.
        weights: The arrays under llama.cpp's tensor names.
        tokenizer: The tokenizer the model was trained with.
        name: ``general.name`` in the metadata.
    """
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name(name)
    writer.add_description(
        "Routes support tickets. Trained from scratch on generated text; not a chat model."
    )
    writer.add_license("Apache-2.0")
    writer.add_context_length(shape.context)
    writer.add_embedding_length(shape.width)
    writer.add_block_count(shape.layers)
    writer.add_feed_forward_length(shape.hidden)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.kv_heads)
    writer.add_layer_norm_rms_eps(NORM_EPSILON)
    writer.add_rope_dimension_count(shape.head_width)
    writer.add_rope_freq_base(ROPE_BASE)
    writer.add_vocab_size(len(tokenizer.tokens))
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_Q8_0)
    _add_tokenizer(writer, tokenizer)

    quantized = gguf.GGMLQuantizationType.Q8_0
    for tensor, values in weights.items():
        array = np.ascontiguousarray(values, dtype=np.float32)
        if array.ndim == 1:
            writer.add_tensor(tensor, array)
        else:
            writer.add_tensor(tensor, gguf.quants.quantize(array, quantized), raw_dtype=quantized)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _add_tokenizer(writer: gguf.GGUFWriter, tokenizer: bpe.Tokenizer) -> None:
    control, normal = gguf.TokenType.CONTROL, gguf.TokenType.NORMAL
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokenizer.tokens)
    writer.add_token_types([control if token in bpe.CONTROL else normal for token in tokenizer.tokens])
    writer.add_token_merges([f"{left} {right}" for left, right in tokenizer.merges])
    writer.add_bos_token_id(tokenizer.ids[bpe.BOS])
    writer.add_eos_token_id(tokenizer.ids[bpe.END])
    writer.add_pad_token_id(tokenizer.ids[bpe.PAD])
    writer.add_add_bos_token(False)  # the chat template writes it
    writer.add_chat_template(CHAT_TEMPLATE)


def random_weights(shape: Shape, vocabulary: int, seed: int) -> dict[str, np.ndarray]:
    """Draws every matrix from a normal distribution and sets every norm to one."""
    draw = np.random.default_rng(seed)

    def matrix(rows: int, columns: int) -> np.ndarray:
        return (draw.standard_normal((rows, columns)) * 0.05).astype(np.float32)

    norm = np.ones(shape.width, dtype=np.float32)
    kv_width = shape.head_width * shape.kv_heads
    weights = {"token_embd.weight": matrix(vocabulary, shape.width), "output_norm.weight": norm}
    for layer in range(shape.layers):
        weights |= {
            f"blk.{layer}.attn_norm.weight": norm,
            f"blk.{layer}.attn_q.weight": matrix(shape.width, shape.width),
            f"blk.{layer}.attn_k.weight": matrix(kv_width, shape.width),
            f"blk.{layer}.attn_v.weight": matrix(kv_width, shape.width),
            f"blk.{layer}.attn_output.weight": matrix(shape.width, shape.width),
            f"blk.{layer}.ffn_norm.weight": norm,
            f"blk.{layer}.ffn_gate.weight": matrix(shape.hidden, shape.width),
            f"blk.{layer}.ffn_up.weight": matrix(shape.hidden, shape.width),
            f"blk.{layer}.ffn_down.weight": matrix(shape.width, shape.hidden),
        }
    return weights


def export_tiny(path: Path, *, seed: int = 0) -> None:
    """Writes the 64-dimensional model with random weights; the same seed writes the same bytes."""
    tokenizer = bpe.learn(['the queue of the ticket is {"queue": "billing", "priority": "high"} ' * 2], 300)
    export(path, TINY, random_weights(TINY, len(tokenizer.tokens), seed), tokenizer, name="random-tiny")


def main() -> None:
    parser = argparse.ArgumentParser(description="Write a tiny model with random weights, for tests.")
    parser.add_argument("out", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    export_tiny(arguments.out, seed=arguments.seed)


if __name__ == "__main__":
    main()
