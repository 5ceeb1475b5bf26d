# SPDX-License-Identifier: Apache-2.0
"""Fuzzing of everything that reads bytes of a peer or of a damaged disk. `python -m fuzz --help`; docs/evidence tells
what came of it.

    streams.py      makes streams, from a seed and a number
    properties.py   what must hold for every stream
    oracle.py       the same answers as h11 reads them
    growth.py       work and memory on streams made to be expensive
    guided.py       coverage-guided, where atheris is installed
    corpus.py       streams worth replaying, in kept/; tests/wire/fuzz_test.py does
    batches.py      one batch through its checks
"""
