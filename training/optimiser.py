# SPDX-License-Identifier: Apache-2.0
"""Muon for the matrices inside the layers, AdamW for embeddings and norms.

Muon steps along the momentum with all its singular values made about one (Newton-Schulz iteration with the
coefficients of K. Jordan, "Muon: an optimizer for hidden layers in neural networks", 2024). Matrices of one shape are
orthogonalised together; that costs about a tenth of a step here and halves the number of steps.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

import torch
from torch import Tensor, nn

_A, _B, _C = 3.4445, -4.7750, 2.0315


class Muon(torch.optim.Optimizer):
    """Nesterov momentum, orthogonalised. `lr` is the spread of one step relative to a matrix of spread n_in**-0.5."""

    def __init__(self, weights: Iterable[Tensor], lr: float, momentum: float = 0.95, weight_decay: float = 0.0) -> None:
        super().__init__(weights, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:
        for group in self.param_groups:
            alike: dict[torch.Size, list[nn.Parameter]] = defaultdict(list)
            for weights in group["params"]:
                if weights.grad is not None:
                    alike[weights.shape].append(weights)
            for shape, matrices in alike.items():
                steps = torch.stack([self._momentum(weights, group["momentum"]) for weights in matrices])
                scale = group["lr"] * max(1.0, shape[0] / shape[1]) ** 0.5
                for weights, step in zip(matrices, orthogonal(steps), strict=True):
                    weights.mul_(1.0 - group["lr"] * group["weight_decay"]).add_(step.to(weights.dtype), alpha=-scale)

    def _momentum(self, weights: nn.Parameter, momentum: float) -> Tensor:
        assert weights.grad is not None
        kept = self.state[weights].setdefault("momentum", torch.zeros_like(weights))
        kept.lerp_(weights.grad, 1.0 - momentum)
        return weights.grad.lerp(kept, momentum)


def orthogonal(matrices: Tensor, n_iterations: int = 5) -> Tensor:
    """float[n, rows, columns] with all singular values moved to between about 0.7 and 1.2."""
    is_tall = matrices.shape[1] > matrices.shape[2]
    x = (matrices.mT if is_tall else matrices).to(torch.bfloat16).contiguous()
    x /= x.norm(dim=(1, 2), keepdim=True) + 1e-7
    for _ in range(n_iterations):
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=_B, alpha=_C), x, beta=_A)
    return x.mT if is_tall else x
