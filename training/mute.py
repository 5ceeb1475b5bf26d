# SPDX-License-Identifier: Apache-2.0
"""An output head that never says what is not text: lone bytes of other scripts, control characters, special tokens.

A load test forbids the end token, so the model has to go on beyond its answer, where nobody has trained it; at
temperature 1 it would then draw half characters now and then.

Rule 1: tokens that may be said keep their rows to the last bit. What the model was trained for does not change.
Rule 2: all hidden states have something in common: there is a direction in which each of them has about the length 1
(found by least squares over states of free-running text). A row that is a large negative multiple of it is a constant,
strongly negative logit, in any engine and any number format.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

import torch
from tokenizers import Tokenizer
from torch import Tensor

from inferometer.embedded.words import SPECIALS
from inferometer.plan.words import common_words
from inferometer.tasks import Split, Task, make_passage, prompt
from training.model import Llama
from training.reference import hidden
from training.tokenizer import END_ID, encode_prompt

MUTED_LOGIT = -60.0  # of a state like the others; those of tokens that are said lie between about -20 and 40

_N_PROMPTS = 12  # of each task, and of as many words as five tasks have
_N_SAID = 40  # tokens after each prompt
_N_LONGEST = 160  # tokens of a prompt
_RIDGE = 0.1  # keeps the direction out of channels that hardly vary


@dataclass(frozen=True, slots=True)
class Muted:
    """`head`: float32[tokens, hidden]. `margin`: how far a muted logit lies below the best of the others in the state
    where that is least, among states that the direction was not fitted to."""

    head: Tensor
    n_muted: int
    margin: float


@torch.no_grad()
def mute(model: Llama, tokenizer: Tokenizer, seed: int = 1) -> Muted:
    """The head that the model was trained with, muted. About a minute."""
    said = sayable(tokenizer)
    states = [_states(model, prompts, said, seed) for prompts in _prompts(tokenizer, seed)]
    fitted = torch.cat([part[: len(part) * 3 // 4] for part in states]).double()
    others = torch.cat([part[len(part) * 3 // 4 :] for part in states]).double()
    common = _common_direction(fitted)
    head = model.lm_head.weight.detach().clone()
    head[~said] = (MUTED_LOGIT * common).to(head.dtype)
    logits = others @ head.double().T
    margin = logits[:, said].max(-1).values - logits[:, ~said].max(-1).values
    return Muted(head, int((~said).sum()), float(margin.min()))


def sayable(tokenizer: Tokenizer) -> Tensor:
    """bool[tokens]: printable ASCII, alone and together; and the end of a turn."""
    n_tokens = tokenizer.get_vocab_size()
    texts = [tokenizer.decode([i], skip_special_tokens=False) for i in range(n_tokens)]
    is_text = [text.isascii() and text.isprintable() and text not in SPECIALS for text in texts]
    is_text[END_ID] = True
    return torch.tensor(is_text)


def _prompts(tokenizer: Tokenizer, seed: int) -> list[list[list[int]]]:
    """Token ids of questions as they were trained on, and of words without sense, as load tests send them."""
    rng = Random(f"mute/{seed}")
    words = common_words()
    groups = [
        [prompt(make_passage(task, Split.TRAIN, rng, n_facts=1 + int(rng.random() * 8))) for _ in range(_N_PROMPTS)]
        for task in Task
    ]
    for _ in Task:
        groups.append([" ".join(rng.choices(words, k=4 + int(rng.random() * 60))) for _ in range(_N_PROMPTS)])
    encoded = [[encode_prompt(tokenizer, text) for text in group] for group in groups]
    return [[ids for ids in group if len(ids) <= _N_LONGEST] for group in encoded]


def _states(model: Llama, prompts: list[list[int]], said: Tensor, seed: int) -> Tensor:
    """float32[states, hidden] of text that goes on from each prompt at temperature 1, the end forbidden."""
    generator = torch.Generator().manual_seed(seed)
    forbidden = ~said
    forbidden[END_ID] = True
    rows = [list(ids) for ids in prompts]
    states = []
    for _ in range(_N_SAID):
        ids = torch.full((len(rows), max(map(len, rows))), END_ID)
        for i, row in enumerate(rows):
            ids[i, : len(row)] = torch.tensor(row)
        last = torch.tensor([[len(row) - 1] for row in rows])
        states.append(hidden(model, ids, last)[:, 0])
        logits = model.lm_head(states[-1])
        drawn = torch.multinomial(logits.masked_fill(forbidden, -torch.inf).softmax(-1), 1, generator=generator)
        for row, token in zip(rows, drawn[:, 0].tolist(), strict=True):
            row.append(token)
    # Prompt by prompt, so that what is kept aside is other prompts, not other places of the same text.
    return torch.stack(states, 1).flatten(0, 1)


def _common_direction(states: Tensor) -> Tensor:
    """float64[hidden]: the direction d for which states @ d is as near to 1 as can be."""
    n = len(states)
    gram = states.T @ states / n
    gram += _RIDGE * gram.diagonal().mean() * torch.eye(len(gram), dtype=gram.dtype)
    direction: Tensor = torch.linalg.solve(gram, states.mean(0))
    return direction
