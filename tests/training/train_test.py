# SPDX-License-Identifier: Apache-2.0
"""The training loop as a process, with a few steps of the real model."""

from __future__ import annotations

import csv
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed (training/requirements.txt)")
pytest.importorskip("safetensors", reason="safetensors is not installed (training/requirements.txt)")

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]


def train(folder, *args):
    argv = [sys.executable, "-m", "training.train", "--out", str(folder), "--device", "cpu", *args]
    return subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=110, check=False)


def weights(folder):
    return torch.load(folder / "checkpoint.pt", weights_only=True)["model"]


def is_same(first, second):
    return all(torch.equal(first[name], second[name]) for name in first)


def test_interrupted_and_resumed_is_the_same_as_in_one_go(tmp_path):
    whole = train(tmp_path / "whole", "--steps", "6")
    assert whole.returncode == 0, whole.stderr
    argv = [sys.executable, "-m", "training.train", "--out", str(tmp_path / "parts"), "--device", "cpu", "--steps", "6"]
    with subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.PIPE, text=True, env=os.environ) as process:
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=110)
    assert process.returncode == 0
    n_done = torch.load(tmp_path / "parts" / "checkpoint.pt", weights_only=True)["n_steps"]
    assert n_done < 6
    resumed = train(tmp_path / "parts", "--steps", "6", "--resume")
    assert resumed.returncode == 0, resumed.stderr
    assert is_same(weights(tmp_path / "whole"), weights(tmp_path / "parts"))
    rows = list(csv.DictReader((tmp_path / "whole" / "curve.csv").open()))
    assert rows[-1]["step"] == "6"
    assert float(rows[-1]["right_retrieval_96"]) >= 0.0
    assert (tmp_path / "whole" / "model.safetensors").stat().st_size < 16 << 20


def test_a_checkpoint_is_neither_overwritten_nor_missing_unawares(tmp_path):
    missing = train(tmp_path, "--resume")
    assert missing.returncode == 1
    assert "no checkpoint" in missing.stderr
    (tmp_path / "checkpoint.pt").touch()
    there = train(tmp_path)
    assert there.returncode == 1
    assert "--resume" in there.stderr
