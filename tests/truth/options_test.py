# SPDX-License-Identifier: Apache-2.0
"""The server's command line: every field of a prescription is a flag, and survives the way there and back."""

from __future__ import annotations

import pytest

from inferometer.truth.options import read_options, to_flags
from inferometer.truth.script import PRESETS, Prescription


@pytest.mark.parametrize(
    "prescription",
    [
        *PRESETS.values(),
        Prescription(n_chunks=3, done=False, space=False, line_end="crlf", framing="close", status=503, body="a b=c"),
        Prescription(faults=("reset", "429", "500_html"), fault_ratio=0.1, fault_seed=4, retry_after_s=0),
        Prescription(jitter="lognormal", sigma=0.25, seed=7, stagger_ms=0.125, fault="stall", fault_at=0),
    ],
)
def test_flags_round_trip(prescription):
    assert read_options(to_flags(prescription)).prescription == prescription


def test_a_flag_goes_before_the_preset():
    told = read_options(["--preset=awkward", "--gap-ms=7"]).prescription
    assert (told.gap_ms, told.ttft_ms) == (7, 300)


@pytest.mark.parametrize(
    "argv", [["--gap-ms=soon"], ["--gap-ms=-1"], ["--usage=sometimes"], ["--faults=reset,nonsense"], ["--nonsense"]]
)
def test_a_wrong_flag_is_one_line_and_status_2(argv, capsys):
    with pytest.raises(SystemExit) as caught:
        read_options(argv)
    assert caught.value.code == 2
    assert capsys.readouterr().err.strip().splitlines()[-1].startswith("python -m inferometer.truth.server: error: ")
