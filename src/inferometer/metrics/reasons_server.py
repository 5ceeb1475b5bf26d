# SPDX-License-Identifier: Apache-2.0
"""Reasons to doubt a run that the server's own counters give: work that was not ours, counts that disagree, hits.

Rule: a difference between two counts is told only where it is larger than every interval that is printed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from inferometer.metrics.reason import Evidence, Reason, percent
from inferometer.metrics.reasons_engine import MAX_LENGTH_ERROR, MAX_PREFIX_EXCESS, prefix_remedy
from inferometer.metrics.registry import depending_on


def server_counts(evidence: Evidence) -> Iterator[Reason]:
    """The server counted more tokens than its answers to us, or fewer."""
    for name, words in (("output", "output tokens"), ("prompt", "prompt tokens")):
        n_counted, n_more = (evidence.number(f"server_{name}_tokens{end}") for end in ("", "_more"))
        if n_counted is None or n_more is None or n_counted - n_more <= 0:
            continue
        n_ours = n_counted - n_more
        if abs(n_more) <= MAX_LENGTH_ERROR * n_ours:
            continue
        share = f"{percent(abs(n_more) / n_ours)} {'more' if n_more > 0 else 'fewer'}"
        text = f"the server counted {n_counted:,.0f} {words}, its answers tell {n_ours:,.0f}: {share}"
        if n_more > 0:
            remedy = "measure a server that nobody else uses, or look for requests that it did twice"
            yield Reason("server_counts", "suspect", text, remedy)
        else:
            remedy = "one of its counts is wrong: compare both with a tokenizer of your own (--tokenizer)"
            rates = (f"{'input' if name == 'prompt' else 'output'}_throughput_tokens_per_s",)
            yield Reason("server_counts", "suspect", text, remedy, ("tpot_s", *rates) if name == "output" else rates)
        return


def prefix_hits_counted(evidence: Evidence) -> Iterator[Reason]:
    """Prompts that were made to differ and met a prefix cache all the same; where answers tell, they are asked."""
    if evidence.number("prefix_excess_ratio") is not None or evidence.is_users_traffic:
        return
    if (share := evidence.exceeds("server_prefix_excess_ratio", MAX_PREFIX_EXCESS)) is not None:
        text = f"{percent(share)} of the prompt tokens came from a prefix cache, by the server's counters"
        yield Reason("prefix_hits", "suspect", text, prefix_remedy(evidence), depending_on("prompt"))


SERVER_RULES: tuple[Callable[[Evidence], Iterator[Reason]], ...] = (server_counts, prefix_hits_counted)
