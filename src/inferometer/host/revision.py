# SPDX-License-Identifier: Apache-2.0
"""Which commit the working directory stands at, for runs that become part of a history."""

from __future__ import annotations

import subprocess

_WITHIN_S = 5.0


def git_revision() -> str:
    """The commit, short, with `-dirty` where files differ from it; "" outside of a repository, or without git."""
    words = ["git", "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=_WITHIN_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
