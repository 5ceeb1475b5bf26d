# SPDX-License-Identifier: Apache-2.0
"""Does llama.cpp compute what PyTorch computes? The same greedy answers, and log-probabilities within a tolerance.

Rule 1: both get the same token ids; the engine's own answer is what the reference is asked about, token by token: if
each of its tokens is the reference's likeliest there, the reference would have said the same.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from training.asking import Spoken
from training.reference import Reference
from training.verdicts import TOLERANCE, Parity


def compare(reference: Reference, prompts: Sequence[Sequence[int]], spoken: Sequence[Spoken]) -> Parity:
    """Answers of an engine, end token included, held against the reference."""
    n_same = 0
    differences: list[float] = []
    for prompt, said in zip(prompts, spoken, strict=True):
        ids = torch.tensor([[*prompt, *said.ids]])[:, :-1]
        wanted = torch.arange(len(prompt) - 1, ids.shape[1])[None]
        logprobs = reference.logits(ids, wanted)[0].log_softmax(-1)
        n_same += logprobs.argmax(-1).tolist() == list(said.ids)
        told = logprobs[torch.arange(len(said.ids)), torch.tensor(said.ids)]
        differences += (told - torch.tensor(said.logprobs)).abs().tolist()
    return Parity(
        n_prompts=len(prompts),
        n_same=n_same,
        n_tokens=len(differences),
        largest=max(differences),
        p99=float(np.quantile(differences, 0.99)),
        n_beyond=sum(difference > TOLERANCE for difference in differences),
    )
