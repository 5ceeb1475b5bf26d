# SPDX-License-Identifier: Apache-2.0
"""How good is it? `python -m training.evaluate --out FOLDER [--package FOLDER] [--items 500] [--lengths 64,...]`.

Accuracy on held-out questions by task, length and number format, through the real llama.cpp server, beside the PyTorch
reference and two baselines; then whether llama.cpp computes what PyTorch computes. Tables go to stdout as Markdown.
About half an hour on two cores with everything at its default.

Rule 1: every answer is kept: FOLDER/answers-<weights>/<engine>-<task>-<length>-<items>.jsonl, whole or not there. Cells
that are there are not asked again, so an evaluation that was interrupted goes on.
Rule 2: the same questions for every engine; which they are is a function of seed, task, length and tokenizer.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path

from tokenizers import Tokenizer

from inferometer.embedded.trained_model import DATA, TOKENIZER, facts, write_model
from inferometer.tasks import Item, Split, Task, items_of_tokens, make_item
from training.asking import serving
from training.parity import compare
from training.reference import Reference
from training.table import Share, accuracy_table, loss_table, parity_table, percent
from training.tokenizer import encode_prompt
from training.verdicts import ONCE, Answered, Cell, Parity, baselines, judge, loss, share

LENGTHS = (64, 128, 256, 512, 768, 1024)
TRAINED_TOKENS = 512  # prompts up to here are what it was trained for
FILE_TYPES = ("F16", "Q8_0", "Q4_0")
PARITY_LENGTHS = (64, 128, 256, 512)
PARITY_FORMATS = ("F32", "F16", "Q8_0", "Q4_0")
REFERENCE = "PyTorch"
_ROOM_TOKENS = 96  # of a slot, beside the longest prompt

Answer = Callable[[Sequence[Item]], list[str]]


def cells_of(lengths: Sequence[int], tasks: Sequence[Task] = tuple(Task)) -> list[Cell]:
    """Every task at every length; arithmetic once, as it has no context."""
    return [
        cell
        for task in tasks
        for cell in ([Cell(task, ONCE)] if task is Task.ARITHMETIC else [Cell(task, n) for n in lengths])
    ]


def items_of(cell: Cell, tokenizer: Tokenizer, seed: int, n_items: int) -> list[Item]:
    """Held-out questions whose prompts have about as many tokens as the cell says, chat template included."""
    if cell.n_tokens == ONCE:
        return [make_item(cell.task, Split.HELD_OUT, seed, i, n_facts=0) for i in range(n_items)]

    def count(text: str) -> int:
        return len(encode_prompt(tokenizer, text))

    return list(items_of_tokens(cell.task, Split.HELD_OUT, seed, n_items, n_tokens=cell.n_tokens, count=count))


def answered(path: Path, engine: str, items: Sequence[Item], answer: Answer) -> list[Answered]:
    """From the file if it is there, else asked now and kept."""
    if path.exists():
        kept = [Answered(**json.loads(line)) for line in path.read_text(encoding="utf-8").splitlines()]
        if [row.prompt for row in kept] == [item.prompt for item in items]:
            return kept
    rows = [judge(engine, item, said) for item, said in zip(items, answer(items), strict=True)]
    partial = path.with_name(path.name + ".partial")
    partial.write_text("".join(json.dumps(asdict(row)) + "\n" for row in rows), encoding="utf-8")
    os.replace(partial, path)
    return rows


def parity_of(package: Path, gguf: Mapping[str, Path], seed: int, n_prompts: int, folder: Path) -> dict[str, Parity]:
    """Of each GGUF file, by number format, on prompts of all tasks and of lengths that the model was trained for."""
    reference = Reference(package)
    cells = cells_of(PARITY_LENGTHS)
    n_each = -(-n_prompts // len(cells))
    items = [item for cell in cells for item in items_of(cell, reference.tokenizer, seed + 1, n_each)][:n_prompts]
    prompts = [encode_prompt(reference.tokenizer, item.prompt) for item in items]
    context_tokens = max(PARITY_LENGTHS) + _ROOM_TOKENS
    found = {}
    for is_precise in (True, False):
        for name, path in gguf.items():
            with serving(path, context_tokens=context_tokens, log_folder=folder, is_precise=is_precise) as engine:
                spoken = engine.spoken(prompts)
            found[f"{name}, {'precise' if is_precise else 'as served'}"] = compare(reference, prompts, spoken)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m training.evaluate", description=__doc__.partition("\n")[0])
    parser.add_argument("--out", type=Path, required=True, help="folder for answers, GGUF files and engines' logs")
    parser.add_argument("--package", type=Path, default=DATA, help="weights; default: those of the package")
    parser.add_argument("--items", type=int, default=500, help="questions in each cell")
    parser.add_argument("--lengths", default=",".join(map(str, LENGTHS)), help="prompt tokens")
    parser.add_argument("--tasks", default=",".join(Task))
    parser.add_argument("--formats", default=",".join(FILE_TYPES))
    parser.add_argument("--parity", type=int, default=200, help="prompts to compare with the reference; 0: none")
    parser.add_argument("--no-reference", action="store_true", help="leave the PyTorch column out")
    parser.add_argument("--seed", type=int, default=1)
    told = parser.parse_args()
    package_facts = facts(told.package)
    if package_facts is None:
        sys.exit(f"{told.package} holds no weights: run training.export first")
    lengths, formats = [int(length) for length in told.lengths.split(",")], told.formats.split(",")
    told.out.mkdir(parents=True, exist_ok=True)
    gguf = {name: told.out / f"{name.lower()}.gguf" for name in dict.fromkeys([*PARITY_FORMATS, *formats])}
    for name, path in gguf.items():
        write_model(path, name, told.package)
    rows: dict[Cell, dict[str, Share]] = {}
    verdicts: dict[str, list[bool]] = {}
    with ExitStack() as stack:
        pool = stack.enter_context(ThreadPoolExecutor(os.cpu_count()))
        ask: dict[str, Answer] = {} if told.no_reference else {REFERENCE: Reference(told.package).answers}
        for name in formats:
            engine = serving(gguf[name], context_tokens=max(lengths) + _ROOM_TOKENS, log_folder=told.out)
            ask[name] = stack.enter_context(engine).answers
        kept = told.out / f"answers-{package_facts.digest[:8]}"
        kept.mkdir(exist_ok=True)
        tokenizer = Tokenizer.from_file(str(told.package / TOKENIZER))
        for cell in cells_of(lengths, [Task(task) for task in told.tasks.split(",")]):
            items = items_of(cell, tokenizer, told.seed, told.items)
            rows[cell] = baselines(items)

            def asked(name: str, cell: Cell = cell, items: list[Item] = items) -> list[Answered]:
                return answered(kept / f"{name}-{cell}-{told.items}.jsonl", name, items, ask[name])

            for name, found in zip(ask, pool.map(asked, ask), strict=True):
                rows[cell][name] = share(row.is_right for row in found)
                if cell.n_tokens <= TRAINED_TOKENS:
                    verdicts.setdefault(name, []).extend(row.is_right for row in found)
            shares = "  ".join(f"{name} {percent(rows[cell][name])}" for name in ask)
            print(f"{cell}: {shares}", file=sys.stderr, flush=True)
    print(accuracy_table(rows, told.items))
    print(loss_table({name: loss(verdicts[formats[0]], verdicts[name]) for name in formats[1:]}, formats[0]))
    if told.parity:
        print(parity_table(parity_of(told.package, gguf, told.seed, told.parity, told.out)))


if __name__ == "__main__":
    main()
