# SPDX-License-Identifier: Apache-2.0
"""What a server answers to a few fixed prompts, greedily and one at a time: to see whether two of them answer alike.

Rule: outside of any measurement. The prompts are the same for everybody, and short, so that any model takes them.
"""

from __future__ import annotations

from inferometer.config import Experiment
from inferometer.engines.registry import dialects
from inferometer.errors import EngineError
from inferometer.host.ask import ServerFacts
from inferometer.host.control import Control
from inferometer.host.probe import probe
from inferometer.plan.request import Request, Sampling

N_TOKENS = 24
PROMPTS = (
    "The three largest oceans of the earth are",
    "Write one sentence about a lighthouse.",
    "What comes next: one, two, three, four,",
    "A short recipe for pancakes: first",
    "Why is the sky blue?",
    "The opposite of slow is",
    "Name a city in Italy and say why people go there.",
    "Translate to French: good morning, my friend.",
)


def greedy_answers(facts: ServerFacts, config: Experiment) -> tuple[str, ...]:
    """One text per prompt; none of a server that takes nothing but token ids.

    Raises: EngineError if one is answered by an error.
    """
    dialect = dialects()[facts.api]
    if not dialect.takes_text:
        return ()
    answers = []
    with Control(facts.url, headers=config.headers(), is_insecure=config.insecure) as control:
        for text in PROMPTS:
            request = Request(0, text, 0, N_TOKENS, Sampling(temperature=0.0), config.is_streamed)
            seen = probe(control, dialect, facts.model, facts.extras, request)
            if seen.error:
                raise EngineError(f"a first request failed: {seen.error}", "mend what the server says, then try again")
            answers.append(seen.text)
    return tuple(answers)
