# SPDX-License-Identifier: Apache-2.0
"""Train the model: `python -m training.train --out FOLDER [--minutes 60] [--resume]`.

Rule 1: everything that changes with time (row length, step size) is a function of progress, 0..1. With --steps progress
is counted in steps, and the same seed gives the same weights on the same machine; with --minutes it is the time spent
training, so that a slow machine goes through the same stages with fewer steps.
Rule 2: a checkpoint is whole or not there, and holds all that the next step depends on, the batches on order included.
Rule 3: FOLDER/model.safetensors is written with each checkpoint: the model can be tried while it learns.
"""

from __future__ import annotations

import argparse
import csv
import ctypes
import os
import shutil
import signal
import sys
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

import torch
import torch.nn.functional as F
from tokenizers import Tokenizer
from torch import Tensor

from inferometer.tasks import Split, make_item, n_facts_for
from training.data import NOT_WANTED, TASKS, Ahead, Batch, Diet, Position, pack_items
from training.model import Llama, Shape, save_weights
from training.optimiser import Muon
from training.tokenizer import encode_prompt, train_tokenizer

CHECKPOINT_EVERY_S = 120.0
LINE_EVERY_S = 10.0
LOOK_EVERY_S = 180.0  # quick accuracy on held-out items
N_LOOK_ITEMS = 64  # of each task
LOOK_TOKENS = (96, 480)  # lengths of their prompts, half of the items each


@dataclass(frozen=True, slots=True)
class Recipe:
    """All that decides what comes out, apart from how long it takes."""

    seed: int = 1
    shape: Shape = field(default_factory=Shape)
    diet: Diet = field(default_factory=Diet)
    matrix_lr: float = 0.01  # Muon: at 0.02 with so small batches the loss of all tasks stays where it is
    other_lr: float = 0.003  # AdamW: embeddings, head and norms
    weight_decay: float = 0.02
    warm_up_steps: int = 40
    clip_norm: float = 1.0

    def lr_factor(self, step: int, progress: float) -> float:
        """Rises within some steps, then falls in a straight line to nearly nothing."""
        return min(1.0, (step + 1) / self.warm_up_steps) * max(0.01, 1.0 - progress)


@dataclass(frozen=True, slots=True)
class Budget:
    """How long: in minutes of training, or in steps."""

    minutes: float
    n_steps: int | None

    def progress(self, run: Run) -> float:
        done = run.n_steps / self.n_steps if self.n_steps else run.trained_s / (60.0 * self.minutes)
        return min(1.0, done)


class Run:
    """A model in training, and all that its next step depends on."""

    def __init__(self, recipe: Recipe, device: torch.device) -> None:
        self.recipe, self.device = recipe, device
        torch.manual_seed(recipe.seed)
        self.model = Llama(recipe.shape, recipe.seed).to(device)
        inside = [w for name, w in self.model.named_parameters() if w.ndim == 2 and "layers" in name]
        others = [w for name, w in self.model.named_parameters() if w.ndim == 1 or "layers" not in name]
        self.optimisers: tuple[tuple[torch.optim.Optimizer, float], ...] = (
            (Muon(inside, recipe.matrix_lr, weight_decay=recipe.weight_decay), recipe.matrix_lr),
            (torch.optim.AdamW(others, recipe.other_lr, betas=(0.9, 0.98), weight_decay=0.0), recipe.other_lr),
        )
        self.n_steps = 0
        self.n_tokens = 0
        self.trained_s = 0.0
        self.position: Position | None = None

    def step(self, batch: Batch, lr_factor: float) -> Tensor:
        """One update; returns the loss at each answer token, float32[rows, wanted], 0 where there is none."""
        ids, wanted, targets = (torch.from_numpy(a).to(self.device) for a in (batch.ids, batch.wanted, batch.targets))
        logits = self.model(ids, wanted, torch.bfloat16)
        losses = F.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=NOT_WANTED, reduction="none")
        loss = losses.sum() / (targets != NOT_WANTED).sum()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.recipe.clip_norm)
        for optimiser, lr in self.optimisers:
            for group in optimiser.param_groups:
                group["lr"] = lr * lr_factor
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)
        self.n_steps += 1
        self.n_tokens += ids.numel()
        return losses.detach().view_as(targets)

    def save(self, folder: Path) -> None:
        state = {
            "recipe": asdict(self.recipe),
            "model": self.model.state_dict(),
            "optimisers": [optimiser.state_dict() for optimiser, _ in self.optimisers],
            "n_steps": self.n_steps,
            "n_tokens": self.n_tokens,
            "trained_s": self.trained_s,
            "position": self.position and (list(self.position.asked), self.position.n_taken, self.position.n_asked),
            "random": torch.get_rng_state(),
        }
        partial = folder / "checkpoint.pt.partial"
        torch.save(state, partial)
        os.replace(partial, folder / "checkpoint.pt")
        save_weights(self.model, folder / "model.safetensors")

    @classmethod
    def load(cls, folder: Path, device: torch.device) -> Run:
        state = torch.load(folder / "checkpoint.pt", map_location=device, weights_only=True)
        facts = state["recipe"]
        diet = Diet(**facts["diet"] | {"shares": tuple(facts["diet"]["shares"])})
        run = cls(Recipe(**facts | {"shape": Shape(**facts["shape"]), "diet": diet}), device)
        run.model.load_state_dict(state["model"])
        for (optimiser, _), kept in zip(run.optimisers, state["optimisers"], strict=True):
            optimiser.load_state_dict(kept)
        run.n_steps, run.n_tokens, run.trained_s = state["n_steps"], state["n_tokens"], state["trained_s"]
        if state["position"]:
            asked, n_taken, n_asked = state["position"]
            run.position = Position(deque(asked), n_taken, n_asked)
        torch.set_rng_state(state["random"].cpu())
        return run


class Look:
    """Held-out items, the same at every look. An answer that is likeliest token by token, each given the right ones
    before it, is the greedy answer: one forward pass tells."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        def count(text: str) -> int:
            return len(encode_prompt(tokenizer, text))

        self._batches = []
        for n_tokens in LOOK_TOKENS:
            for task in TASKS:
                n_facts = n_facts_for(task, Split.HELD_OUT, n_tokens, count)
                n_items = N_LOOK_ITEMS // len(LOOK_TOKENS)
                items = [make_item(task, Split.HELD_OUT, 0, i, n_facts=n_facts) for i in range(n_items)]
                self._batches.append((f"{task}_{n_tokens}", pack_items(tokenizer, items)))
        self.names = tuple(name for name, _ in self._batches)

    @torch.no_grad()
    def accuracy(self, model: Llama, device: torch.device) -> dict[str, float]:
        """Share of right answers by task and length of the prompt."""
        found = {}
        for name, batch in self._batches:
            ids, wanted, targets = (torch.from_numpy(a).to(device) for a in (batch.ids, batch.wanted, batch.targets))
            best = model(ids, wanted, torch.bfloat16).argmax(-1)
            is_right = ((best == targets) | (targets == NOT_WANTED)).all(1)
            found[name] = is_right.float().mean().item()
        return found


class Curve:
    """FOLDER/curve.csv: a row with each progress line; accuracies only where somebody looked."""

    def __init__(self, folder: Path, look_names: tuple[str, ...]) -> None:
        self._names = ("step", "trained_s", "n_tokens", "n_longest", "lr_factor", *(f"loss_{task}" for task in TASKS))
        self._names += tuple(f"right_{name}" for name in look_names)
        path = folder / "curve.csv"
        is_new = not path.exists()
        self._file = path.open("a", newline="", encoding="utf-8")
        self._writer = csv.DictWriter(self._file, self._names)
        if is_new:
            self._writer.writeheader()

    def add(self, row: dict[str, Any]) -> None:
        self._writer.writerow(row)
        self._file.flush()

    def close(self) -> None:
        self._file.close()


class Means:
    """Mean loss of each task since it was last asked for; nan for a task that did not occur."""

    def __init__(self) -> None:
        self._sums, self._counts = torch.zeros(len(TASKS)), torch.zeros(len(TASKS))

    def add(self, losses: Tensor, batch: Batch) -> None:
        tasks = torch.from_numpy(batch.tasks).flatten()
        is_target = torch.from_numpy(batch.targets).flatten() != NOT_WANTED
        self._sums.index_add_(0, tasks, losses.flatten().float().cpu())
        self._counts.index_add_(0, tasks, is_target.float())

    def take(self) -> dict[str, float]:
        means: list[float] = (self._sums / self._counts).tolist()
        self._sums.zero_()
        self._counts.zero_()
        return dict(zip(TASKS, means, strict=True))


@contextmanager
def asked_to_stop() -> Iterator[list[int]]:
    """A list that gets the number of a SIGINT or SIGTERM; a second one ends the process as usual."""
    came: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        came.append(number)
        signal.signal(number, signal.SIG_DFL)

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield came
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def train(run: Run, budget: Budget, tokenizer: Tokenizer, folder: Path) -> None:
    """Until the budget is spent or somebody asks to stop; saved at the end in either case."""
    look = Look(tokenizer)
    curve, means = Curve(folder, look.names), Means()
    recipe = run.recipe
    line_s = saved_s = looked_s = run.trained_s
    n_line_tokens = run.n_tokens
    with asked_to_stop() as stop, Ahead(tokenizer, recipe.seed, recipe.diet, run.position) as ahead:
        while (progress := budget.progress(run)) < 1.0 and not stop:
            began_s = time.monotonic()
            batch = ahead.take(progress)
            lr_factor = recipe.lr_factor(run.n_steps, progress)
            means.add(run.step(batch, lr_factor), batch)
            run.position = ahead.position
            run.trained_s += time.monotonic() - began_s
            is_last = budget.progress(run) >= 1.0 or bool(stop)
            if run.trained_s - line_s >= LINE_EVERY_S or is_last:
                losses = means.take()
                row: dict[str, Any] = {f"loss_{task}": f"{loss:.4f}" for task, loss in losses.items()}
                row |= {"step": run.n_steps, "trained_s": f"{run.trained_s:.1f}", "n_tokens": run.n_tokens}
                row |= {"n_longest": batch.n_longest, "lr_factor": f"{lr_factor:.3f}"}
                per_s = (run.n_tokens - n_line_tokens) / (run.trained_s - line_s)
                _say(run, budget, batch, losses, per_s)
                if run.trained_s - looked_s >= LOOK_EVERY_S or (is_last and not stop):
                    right = look.accuracy(run.model, run.device)
                    row |= {f"right_{name}": f"{share:.3f}" for name, share in right.items()}
                    print("  right: " + "  ".join(f"{name} {share:.0%}" for name, share in right.items()), flush=True)
                    looked_s = run.trained_s
                curve.add(row)
                line_s, n_line_tokens = run.trained_s, run.n_tokens
            if run.trained_s - saved_s >= CHECKPOINT_EVERY_S or is_last:
                run.save(folder)
                saved_s = run.trained_s
    curve.close()


def _say(run: Run, budget: Budget, batch: Batch, losses: dict[str, float], per_s: float) -> None:
    minutes, seconds = divmod(int(run.trained_s), 60)
    print(
        f"{minutes:3d}:{seconds:02d} {budget.progress(run):4.0%}  step {run.n_steps}  "
        f"{run.n_tokens / 1e6:.2f} M tokens ({per_s:,.0f}/s)  rows <= {batch.n_longest}  loss: "
        + "  ".join(f"{task} {loss:.3f}" for task, loss in losses.items()),
        flush=True,
    )


def keep_memory() -> None:
    """Have the C library keep what was freed: else the kernel clears tens of megabytes for each intermediate result,
    which takes a fifth of the time. Nothing happens where there is no mallopt."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        for name, value in ((-4, 0), (-1, 2**31 - 1), (-2, 2**28)):  # M_MMAP_MAX, M_TRIM_THRESHOLD, M_TOP_PAD
            mallopt(name, value)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m training.train", description="Train the embedded model.")
    parser.add_argument("--out", type=Path, required=True, help="folder for tokenizer, checkpoint, weights and curve")
    parser.add_argument("--minutes", type=float, default=60.0, help="time to train, all resumed parts together")
    parser.add_argument("--steps", type=int, help="steps instead of minutes: repeatable on one machine")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--resume", action="store_true", help="go on from the checkpoint in the folder")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, ...")
    parser.add_argument("--no-compile", action="store_true", help="layers as they are written: slower, no C++ compiler")
    told = parser.parse_args()
    keep_memory()
    name = told.device if told.device != "auto" else "cuda" if torch.cuda.is_available() else "cpu"
    device = torch.device(name)
    told.out.mkdir(parents=True, exist_ok=True)
    has_checkpoint = (told.out / "checkpoint.pt").exists()
    if has_checkpoint != told.resume:
        remedy = "add --resume, or name another folder" if has_checkpoint else "leave --resume away"
        sys.exit(f"{told.out} holds {'a' if has_checkpoint else 'no'} checkpoint: {remedy}")
    if told.resume:
        run = Run.load(told.out, device)
        tokenizer = Tokenizer.from_file(str(told.out / "tokenizer.json"))
    else:
        run = Run(Recipe(seed=told.seed), device)
        tokenizer = train_tokenizer()
        tokenizer.save(str(told.out / "tokenizer.json"))
    if not told.no_compile and shutil.which("c++"):
        for layer in run.model.model.layers:
            layer.compile(dynamic=True)  # two minutes at first, then 1.6 times as fast
    n_weights = sum(weights.numel() for weights in run.model.parameters())
    print(f"{n_weights / 1e6:.2f} M weights, {torch.get_num_threads()} threads, {device}", flush=True)
    train(run, Budget(told.minutes, told.steps), tokenizer, told.out)


if __name__ == "__main__":
    main()
