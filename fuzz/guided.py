# SPDX-License-Identifier: Apache-2.0
"""Coverage-guided fuzzing of one target, where atheris is installed (docs/decisions/008-fuzzing.md: why it is extra).

    python -m fuzz.guided TARGET -runs=1000000 FOLDER      what comes after TARGET is libFuzzer's; FOLDER collects
    python -m fuzz.guided TARGET -merge=1 SMALL FOLDER     keep of FOLDER only what goes its own way

Half of the inputs libFuzzer changes itself; the other half are made or damaged as streams.py does.
"""

from __future__ import annotations

import sys
from random import Random

import atheris

with atheris.instrument_imports(include=["inferometer.wire", "inferometer.drive", "inferometer.engines"]):
    from fuzz.properties import CHECKS, check

from fuzz.streams import HTTP_WORDS, JSON_WORDS, N_TURNS, SSE_WORDS, Stream, batch, damaged

_WORDS = {"answer": HTTP_WORDS + SSE_WORDS + JSON_WORDS, "framing": HTTP_WORDS, "events": SSE_WORDS + JSON_WORDS}


def main() -> None:
    target = sys.argv.pop(1) if len(sys.argv) > 1 else ""
    if target not in CHECKS:
        sys.exit(f"which target? {', '.join(CHECKS)}")
    words = _WORDS.get(target, SSE_WORDS)

    def look(data: bytes) -> None:
        # The cuts follow from the input, so that an input that failed fails again.
        check(Stream(target, "guided", data), Random(data))

    def mutate(data: bytes, max_size: int, seed: int) -> bytes:
        rng = Random(seed)
        way = rng.random()
        if way < 0.5:
            return atheris.Mutate(data, max_size)
        if way < 0.9:
            return damaged(rng, data, words, 1 + int(rng.random() * 3))[:max_size]
        made = [s.data for s in batch(seed, 0, N_TURNS) if s.target == target]
        return rng.choice(made)[:max_size]

    atheris.Setup(sys.argv, look, custom_mutator=mutate)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
