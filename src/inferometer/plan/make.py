# SPDX-License-Identifier: Apache-2.0
"""Making a plan: lengths, prompts and schedule put together.

Rule 1: the same arguments give the same plan, bit by bit; lengths, prompts and arrivals draw from children of one seed,
    the words of prompts also from a nonce: with a fresh one no prefix cache knows them from an earlier run.
Rule 2: the digest stands for what was asked, not for the words that an engine's tokenizer made of it: two engines that
    were asked the same have the same digest.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from inferometer.errors import UsageError
from inferometer.plan.lengths import Counts, FilePrompt, Lengths
from inferometer.plan.plan import PLAN_VERSION, Plan
from inferometer.plan.prompts import Prompts, from_ids, from_words
from inferometer.plan.request import Request, Sampling
from inferometer.plan.schedule import Schedule, Stage
from inferometer.plan.words import TokenCounter, learn

NOT_TOLD = -1  # Request.n_prompt_tokens where nobody counted a prompt out of a file

# Which children of the run's seed draw what; schedule.py has the other.
_INPUTS_KEY, _OUTPUTS_KEY, _PROMPTS_KEY = (1,), (2,), (3,)
_GREEDY = Sampling()
_COUNT_BUDGET_S = 10.0  # for prompts of a file
_OTHER_API = "choose another one with --api"


@dataclass(frozen=True, slots=True)
class Shape:
    """What requests are asked to be. `n_shared`: the first so many tokens of the content are the same in all."""

    inputs: Lengths
    outputs: Lengths
    sampling: Sampling = _GREEDY
    is_streamed: bool = True
    n_shared: int = 0


@dataclass(frozen=True, slots=True)
class Server:
    """What the server can take. `context_tokens`: for prompt and output together; None: not known. `takes_text`: if
    not, nothing but token ids."""

    counter: TokenCounter
    context_tokens: int | None = None
    takes_token_ids: bool = False
    takes_messages: bool = True
    takes_text: bool = True


def make(shape: Shape, schedule: Schedule, server: Server, *, n_requests: int, seed: int, words_nonce: int = 0) -> Plan:
    """`n_requests` requests: all that the schedule plans, or a pool to be drawn from in order.

    Raises: UsageError if what is asked for cannot be made.
    """
    notes: list[str] = []
    if shape.inputs.kind == "file":
        requests = _from_file(shape, server, n_requests, seed, notes)
        is_counted = any(request.n_prompt_tokens != NOT_TOLD for request in requests)
        lengths_from = f"the file, {f'counted by {server.counter.source}' if is_counted else 'not counted'}"
    else:
        made, n_inputs, n_outputs = _synthetic(shape, server, n_requests, (seed, words_nonce), notes)
        lengths_from = made.lengths_from
        asked = zip(made.prompts, n_inputs.tolist(), n_outputs.tolist(), strict=True)
        requests = tuple(
            Request(i, prompt, n_input, n_output, shape.sampling, shape.is_streamed, session=i)
            for i, (prompt, n_input, n_output) in enumerate(asked)
        )
    return Plan(requests, schedule, seed, _digest(shape, schedule, requests, seed), lengths_from, tuple(notes))


def _rng(seed: int | tuple[int, int], key: tuple[int, ...]) -> np.random.Generator:
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=key))


# --- synthetic prompts ---------------------------------------------------------------------------------------------


def _synthetic(
    shape: Shape, server: Server, n_requests: int, seeds: tuple[int, int], notes: list[str]
) -> tuple[Prompts, Counts, Counts]:
    """Prompts with the input and output lengths, int64[n_requests] each. `seeds`: the run's, and the nonce of words."""
    vocabulary = learn(server.counter)
    uses_ids = server.takes_token_ids and bool(vocabulary.ids)
    if not uses_ids and not server.takes_text:
        raise UsageError("this API takes nothing but token ids, and the server does not show its own", _OTHER_API)
    n_fixed = 0 if uses_ids else vocabulary.n_fixed
    n_least = n_fixed + shape.n_shared + 1
    _check_room(shape, server.context_tokens, n_fixed, n_least)
    seed, _ = seeds
    n_inputs = shape.inputs.draw(_rng(seed, _INPUTS_KEY), n_requests)
    n_outputs = shape.outputs.draw(_rng(seed, _OUTPUTS_KEY), n_requests)
    wanted = {"input": n_inputs, "output": n_outputs}
    n_inputs = np.maximum(n_inputs, n_least)
    if (context := server.context_tokens) is not None:
        if shape.outputs.kind == "fixed":  # what was said exactly is kept, the law gives way
            n_outputs = np.minimum(n_outputs, context - n_least)
            n_inputs = np.minimum(n_inputs, context - n_outputs)
        else:
            n_inputs = np.minimum(n_inputs, context - 1)
            n_outputs = np.minimum(n_outputs, context - n_inputs)
    for name, got in (("input", n_inputs), ("output", n_outputs)):
        if n_clipped := int(np.count_nonzero(wanted[name] != got)):
            notes.append(f"{n_clipped} of {n_requests} {name} lengths were clipped to what template and context allow")
    rng = _rng(seeds, _PROMPTS_KEY)
    if uses_ids:
        made = from_ids(n_inputs, vocabulary, rng, n_shared=shape.n_shared)
    else:
        made = from_words(n_inputs, vocabulary, server.counter, rng, n_shared=shape.n_shared)
    if made.n_inexact:
        notes.append(f"{made.n_inexact} prompts counted do not have the length asked for")
    return made, n_inputs, n_outputs


def _check_room(shape: Shape, context_tokens: int | None, n_fixed: int, n_least: int) -> None:
    """Lengths said exactly must fit; those of a law are clipped."""
    inputs, outputs = shape.inputs, shape.outputs
    if inputs.kind == "fixed" and inputs.a < n_least:
        around = [f"{n_fixed} tokens of the chat template"] if n_fixed else []
        around += [f"{shape.n_shared} shared tokens"] if shape.n_shared else []
        raise UsageError(
            f"--input-tokens {inputs.spec} leaves no room beside {' and '.join(around)}", f"ask for at least {n_least}"
        )
    if context_tokens is None:
        return
    if inputs.kind == "fixed" and outputs.kind == "fixed" and inputs.a + outputs.a > context_tokens:
        raise UsageError(
            f"{inputs.a:.0f} input and {outputs.a:.0f} output tokens do not fit the context of {context_tokens:,}",
            "lower --input-tokens or --output-tokens, or start the server with a longer context",
        )
    n_output = outputs.a if outputs.kind == "fixed" else 1
    if n_least + n_output > context_tokens:
        raise UsageError(
            f"{n_least} input and {n_output:.0f} output tokens are the least, and the context is {context_tokens:,}",
            "lower --output-tokens or --shared-prefix, or start the server with a longer context",
        )


# --- prompts from a file -------------------------------------------------------------------------------------------


def _from_file(shape: Shape, server: Server, n_requests: int, seed: int, notes: list[str]) -> tuple[Request, ...]:
    """Prompts in the order of the file, again from its beginning when they run out."""
    prompts, n_prompts = shape.inputs.prompts, len(shape.inputs.prompts)
    if shape.n_shared:
        raise UsageError("--shared-prefix has no meaning for prompts from a file", "leave it out")
    if not server.takes_text:
        raise UsageError(f"{shape.inputs.spec} holds text, and this API takes nothing but token ids", _OTHER_API)
    if not server.takes_messages and any(prompt.messages is not None for prompt in prompts):
        raise UsageError(f"{shape.inputs.spec} holds messages, which need the chat API", "leave out --api completions")
    if n_requests > n_prompts:
        n_times = -(-n_requests // n_prompts)
        notes.append(
            f"the {n_prompts} prompts of {shape.inputs.spec} are used up to {n_times} times: a prefix cache may help"
        )
    counts = _counted(server.counter, prompts)
    drawn = shape.outputs.draw(_rng(seed, _OUTPUTS_KEY), n_requests).tolist()
    says_output = shape.outputs.kind != "file"  # else the other file has the word
    requests = []
    for i, n_drawn in enumerate(drawn):
        prompt = prompts[i % n_prompts]
        n_output = prompt.n_output_tokens if says_output and prompt.n_output_tokens else n_drawn
        n_input = counts[i % n_prompts]
        requests.append(
            Request(i, prompt.prompt, n_input, n_output, shape.sampling, shape.is_streamed, prompt.messages, session=i)
        )
    if (context := server.context_tokens) is not None:
        n_long = sum(request.n_prompt_tokens + request.max_output_tokens > context for request in requests)
        if n_long:
            notes.append(
                f"{n_long} of {n_requests} requests are longer than the context of {context:,}, output included"
            )
    return tuple(requests)


def _counted(counter: TokenCounter, prompts: Sequence[FilePrompt]) -> list[int]:
    """Tokens of each, as far as they can be counted in time and without showing them to a prefix cache."""
    if counter.sends_requests:
        return [NOT_TOLD] * len(prompts)
    n_countable = int(_COUNT_BUDGET_S / max(counter.cost_s, 1e-6))
    counts = []
    for prompt in prompts[:n_countable]:
        n_tokens = counter.count(prompt.prompt if prompt.messages is None else prompt.messages)
        counts.append(NOT_TOLD if n_tokens is None else n_tokens)
    return counts + [NOT_TOLD] * (len(prompts) - len(counts))


# --- digest --------------------------------------------------------------------------------------------------------


def _digest(shape: Shape, schedule: Schedule, requests: tuple[Request, ...], seed: int) -> str:
    """A pool's size follows from the engine's speed, so lengths drawn go in only where their number was planned."""
    drawn: list[list[int]] | None = None
    if schedule.n_planned is not None:
        is_file = shape.inputs.kind == "file"  # its lengths depend on the tokenizer; its texts go in instead
        drawn = [[0 if is_file else r.n_prompt_tokens, r.max_output_tokens] for r in requests]
    return _sha256(
        {
            "version": PLAN_VERSION,
            "seed": seed,
            "input": _named(shape.inputs),
            "output": _named(shape.outputs),
            "n_shared": shape.n_shared,
            "drawn": drawn,
            "sampling": asdict(shape.sampling),
            "is_streamed": shape.is_streamed,
            "mode": schedule.mode,
            "concurrency": schedule.concurrency,
            "rate_per_s": schedule.rate_per_s,
            "trials": [[_stage_facts(stage) for stage in stages] for stages in schedule.trials],
        }
    )


def _named(lengths: Lengths) -> Any:
    """A law by its numbers; a file by what stands in it."""
    if lengths.kind != "file":
        return [lengths.kind, lengths.a, lengths.b]
    return [[prompt.prompt, prompt.messages, prompt.n_output_tokens] for prompt in lengths.prompts]


def _stage_facts(stage: Stage) -> dict[str, Any]:
    due = None if stage.due_ns is None else hashlib.sha256(stage.due_ns.astype("<i8").tobytes()).hexdigest()
    return {
        "due_ns": due,
        "concurrency": stage.concurrency,
        "n_requests": stage.n_requests,
        "duration_ns": stage.duration_ns,
        "n_warmup": stage.n_warmup,
        "warmup_ns": stage.warmup_ns,
    }


def _sha256(facts: Mapping[str, Any]) -> str:
    canonical = json.dumps(facts, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(canonical.encode()).hexdigest()
