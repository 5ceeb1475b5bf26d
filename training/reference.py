# SPDX-License-Identifier: Apache-2.0
"""The PyTorch reference: a folder of weights as they are installed, head included, run by training/model.py.

Rule 1: float32 throughout and no cache, so that nothing but the weights decides.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import torch
from tokenizers import Tokenizer
from torch import Tensor

from inferometer.embedded.trained_model import CONFIG, TOKENIZER, WEIGHTS
from inferometer.embedded.weights import read_weights
from inferometer.tasks import Item
from training.data import NOT_WANTED, pack_items
from training.model import Llama, shape_of
from training.tokenizer import END_ID, encode_prompt
from training.verdicts import can_still_be_right

_N_BATCH_TOKENS = 8192
_N_MOST = 64  # tokens of an answer; the longest right one has about 40


class Reference:
    """The model of `folder`."""

    def __init__(self, folder: Path) -> None:
        weights = {
            name: torch.tensor(array, dtype=torch.float32) for name, array in read_weights(folder / WEIGHTS).items()
        }
        self.tokenizer = Tokenizer.from_file(str(folder / TOKENIZER))
        self.model = Llama(shape_of(json.loads((folder / CONFIG).read_text(encoding="utf-8"))))
        self.model.load_state_dict(weights)

    @torch.no_grad()
    def logits(self, ids: Tensor, wanted: Tensor | None = None) -> Tensor:
        """float32[batch, n or m, tokens], as Llama.forward."""
        logits: Tensor = self.model(ids, wanted)
        return logits

    def greedy(self, ids: Sequence[int], n_most: int = _N_MOST) -> list[int]:
        """The likeliest continuation, without the end token."""
        told = list(ids)
        while len(told) < len(ids) + n_most:
            best = int(self.logits(torch.tensor([told]), torch.tensor([[len(told) - 1]]))[0, 0].argmax())
            if best == END_ID:
                break
            told.append(best)
        return told[len(ids) :]

    def answers(self, items: Sequence[Item]) -> list[str]:
        """Greedy answers; a wrong one only up to the token by which it cannot become right any more.

        All tokens of the right answer are looked at in one pass; where each is the likeliest, greedy decoding would
        have given just them.
        """
        said: dict[int, str] = {}
        order = sorted(range(len(items)), key=lambda i: len(items[i].prompt))
        while order:
            n_long = len(encode_prompt(self.tokenizer, items[order[-1]].prompt))
            rows, order = order[-max(1, _N_BATCH_TOKENS // n_long) :], order[: -max(1, _N_BATCH_TOKENS // n_long)]
            batch = pack_items(self.tokenizer, [items[i] for i in rows])
            best = self.logits(torch.from_numpy(batch.ids), torch.from_numpy(batch.wanted)).argmax(-1).tolist()
            for i, likeliest, targets in zip(rows, best, batch.targets.tolist(), strict=True):
                said[i] = self._answer(items[i], likeliest, [target for target in targets if target != NOT_WANTED])
        return [said[i] for i in range(len(items))]

    def _answer(self, item: Item, likeliest: list[int], targets: list[int]) -> str:
        told: list[int] = []
        for best, target in zip(likeliest, targets, strict=False):
            if best == END_ID:
                return str(self.tokenizer.decode(told))
            told.append(best)
            if best != target:
                break
        prompt = encode_prompt(self.tokenizer, item.prompt)
        # The same text in other tokens, or a full stop more: rare, but it would be right.
        while can_still_be_right(item.answer, self.tokenizer.decode(told)) and len(told) < _N_MOST:
            after = self.greedy([*prompt, *told], 1)
            if not after:
                break
            told += after
        return str(self.tokenizer.decode(told))


@torch.no_grad()
def hidden(model: Llama, ids: Tensor, wanted: Tensor | None = None) -> Tensor:
    """What the head reads, float32[batch, n or m, hidden]."""
    seen: list[Tensor] = []
    hook = model.model.norm.register_forward_hook(lambda module, inputs, output: seen.append(output))
    try:
        model(ids, wanted)
    finally:
        hook.remove()
    return seen[-1]
