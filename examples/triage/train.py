"""Trains the triage model from scratch on one CPU core and exports it; needs torch (see requirements.txt).

``python -m examples.triage.train OUT.gguf`` is the build that ships. ``--split train`` leaves every fifth template out
and thereby gives an honest number on unseen phrasings. Same arguments, same torch version, one thread: same model.
"""

import argparse
import math
from collections.abc import Iterator
from pathlib import Path

import torch
from examples.triage import bpe
from examples.triage.data import Generator, Ticket
from examples.triage.export_gguf import NORM_EPSILON, ROPE_BASE, Shape, export
from torch import Tensor, nn
from torch.nn import functional

SHAPE = Shape(width=192, layers=4, heads=6, kv_heads=2, hidden=512, context=1024)
VOCABULARY = 2048
BATCH = 32
POOL = 32  # batches sorted by length at a time
PEAK_RATE = 1.5e-3
WARM_UP_STEPS = 200
WORD_DROPOUT = 0.15
DROPOUT = 0.1
# Predicting the ticket's own words is a second task that teaches which words go together. A ticket has some thirty hard
# words and an answer two hard tokens: at 0.15 the second task drowns the first for the first thousand steps.
PROMPT_WEIGHT = 0.04
SEED = 20260

TOKENIZER_SEED, TRAIN_SEED, FILLS_SEED, PHRASINGS_SEED = 11, 12, 13, 14


class Norm(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        return functional.rms_norm(x, (x.shape[-1],), self.weight, NORM_EPSILON)


def rotate(x: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    """Rotary embedding over neighbouring pairs, llama.cpp's order: no permutation is needed at export."""
    even, odd = x[..., 0::2], x[..., 1::2]
    return torch.stack((even * cosine - odd * sine, even * sine + odd * cosine), dim=-1).flatten(-2)


class Block(nn.Module):
    """One transformer layer; attribute names are llama.cpp's tensor names."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        kv_width = shape.head_width * shape.kv_heads
        self.attn_norm = Norm(shape.width)
        self.attn_q = nn.Linear(shape.width, shape.width, bias=False)
        self.attn_k = nn.Linear(shape.width, kv_width, bias=False)
        self.attn_v = nn.Linear(shape.width, kv_width, bias=False)
        self.attn_output = nn.Linear(shape.width, shape.width, bias=False)
        self.ffn_norm = Norm(shape.width)
        self.ffn_gate = nn.Linear(shape.width, shape.hidden, bias=False)
        self.ffn_up = nn.Linear(shape.width, shape.hidden, bias=False)
        self.ffn_down = nn.Linear(shape.hidden, shape.width, bias=False)

    def forward(self, x: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
        h = self.attn_norm(x)
        query = rotate(self._heads(self.attn_q(h)), cosine, sine)
        key = rotate(self._heads(self.attn_k(h)), cosine, sine)
        value = self._heads(self.attn_v(h))
        mixed = functional.scaled_dot_product_attention(query, key, value, is_causal=True, enable_gqa=True)
        x = x + self.attn_output(mixed.transpose(1, 2).flatten(2))
        h = self.ffn_norm(x)
        return x + self.ffn_down(functional.silu(self.ffn_gate(h)) * self.ffn_up(h))

    def _heads(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (-1, self.shape.head_width)).transpose(1, 2)


class Triage(nn.Module):
    def __init__(self, shape: Shape, vocabulary: int) -> None:
        super().__init__()
        self.token_embd = nn.Embedding(vocabulary, shape.width)
        self.blk = nn.ModuleList(Block(shape) for _ in range(shape.layers))
        self.output_norm = Norm(shape.width)
        for name, parameter in self.named_parameters():
            if parameter.ndim == 2:
                into_stream = name.endswith(("attn_output.weight", "ffn_down.weight"))
                nn.init.normal_(parameter, std=0.02 / math.sqrt(2 * shape.layers) if into_stream else 0.02)
        frequencies = ROPE_BASE ** (-torch.arange(0, shape.head_width, 2) / shape.head_width)
        angles = torch.outer(torch.arange(shape.context), frequencies)
        self.register_buffer("cosine", angles.cos(), persistent=False)
        self.register_buffer("sine", angles.sin(), persistent=False)

    def forward(self, ids: Tensor) -> Tensor:
        length = ids.shape[1]
        x = functional.dropout(self.token_embd(ids), DROPOUT, self.training)
        for block in self.blk:
            x = block(x, self.cosine[:length], self.sine[:length])
        return functional.linear(self.output_norm(x), self.token_embd.weight)

    def save(self, path: Path, tokenizer: bpe.Tokenizer) -> None:
        weights = {name: parameter.detach().numpy() for name, parameter in self.named_parameters()}
        part = path.with_suffix(".part")  # a reader never sees half a file
        export(part, SHAPE, weights, tokenizer, name="triage")
        part.replace(path)


def tokens_of(ticket: Ticket, tokenizer: bpe.Tokenizer) -> tuple[list[int], int]:
    """The token ids of a ticket as the chat template renders it, with its answer; and where the answer starts."""
    control = tokenizer.ids
    text = ticket.text.lower().strip().replace("<|", "< ")
    prompt = [
        control[bpe.BOS],
        control[bpe.USER],
        *tokenizer.encode(text),
        control[bpe.END],
        control[bpe.ASSISTANT],
    ]
    return [*prompt, *tokenizer.encode(ticket.answer), control[bpe.END]], len(prompt)


def batches(
    tickets: Iterator[Ticket], tokenizer: bpe.Tokenizer, shuffle: torch.Generator
) -> Iterator[tuple[Tensor, Tensor]]:
    """Ids and loss weights of batches of tickets of similar length, which wastes little on padding."""
    while True:
        pool = sorted(
            (tokens_of(next(tickets), tokenizer) for _ in range(BATCH * POOL)), key=lambda row: len(row[0])
        )
        for at in torch.randperm(POOL, generator=shuffle).tolist():
            rows = pool[at * BATCH : (at + 1) * BATCH]
            length = max(len(ids) for ids, _ in rows)
            ids = torch.full((BATCH, length), tokenizer.ids[bpe.PAD])
            weights = torch.zeros(BATCH, length)
            for row, (tokens, answer) in enumerate(rows):
                ids[row, : len(tokens)] = torch.tensor(tokens)
                weights[row, :answer] = PROMPT_WEIGHT
                weights[row, answer : len(tokens)] = 1.0
            yield ids, weights


@torch.no_grad()
def accuracy(model: Triage, tickets: list[Ticket], tokenizer: bpe.Tokenizer) -> float:
    """The share of tickets whose whole answer is what greedy decoding would write."""
    model.eval()
    right = 0
    for ticket in tickets:
        ids, answer = tokens_of(ticket, tokenizer)
        written = model(torch.tensor([ids[:-1]]))[0, answer - 1 :].argmax(-1).tolist()
        right += written == ids[answer:]
    model.train()
    return right / len(tickets)


def rate(step: int, steps: int) -> float:
    """Linear warm-up, then a half cosine down to a fiftieth of the peak."""
    warm = min(1.0, (step + 1) / WARM_UP_STEPS)
    return PEAK_RATE * warm * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * step / steps)))


def train(out: Path, *, split: str, steps: int, report_every: int) -> None:
    torch.manual_seed(SEED)
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)

    sample = Generator(TOKENIZER_SEED, split).tickets(12_000)
    tokenizer = bpe.learn(
        [ticket.text.lower() for ticket in sample] + [ticket.answer for ticket in sample], VOCABULARY
    )
    model = Triage(SHAPE, len(tokenizer.tokens))
    print(
        f"{sum(p.numel() for p in model.parameters())} parameters, {len(tokenizer.tokens)} tokens", flush=True
    )

    fills = Generator(FILLS_SEED, "fills").tickets(200)
    phrasings = Generator(PHRASINGS_SEED, "phrasings").tickets(200)
    stream = iter(Generator(TRAIN_SEED, split, word_dropout=WORD_DROPOUT))
    batch = batches(stream, tokenizer, torch.Generator().manual_seed(SEED))
    optimizer = torch.optim.AdamW(model.parameters(), lr=PEAK_RATE, betas=(0.9, 0.98), weight_decay=0.05)
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = rate(step, steps)
        ids, weights = next(batch)
        losses = functional.cross_entropy(
            model(ids[:, :-1]).flatten(0, 1), ids[:, 1:].flatten(), reduction="none"
        )
        weights = weights[:, 1:].flatten()
        loss = (losses * weights).sum() / weights.sum()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        if (step + 1) % report_every == 0 or step + 1 == steps:
            model.save(out, tokenizer)
            right = f"fills {accuracy(model, fills, tokenizer):.3f} phrasings {accuracy(model, phrasings, tokenizer):.3f}"
            print(f"step {step + 1}/{steps} loss {loss.item():.3f} {right}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description="Train the triage model and write it as GGUF.")
    parser.add_argument("out", type=Path)
    parser.add_argument("--split", choices=("ship", "train"), default="ship")
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--report-every", type=int, default=200)
    arguments = parser.parse_args()
    train(arguments.out, split=arguments.split, steps=arguments.steps, report_every=arguments.report_every)


if __name__ == "__main__":
    main()
