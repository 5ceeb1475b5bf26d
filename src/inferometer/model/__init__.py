# SPDX-License-Identifier: Apache-2.0
"""A model seen as arithmetic: what it weighs, what it keeps per token, what one token costs. Pure: no file, no engine.

Rule 1: what a description does not say is in `doubts`, in words, and its number is None: nothing is guessed silently.
Rule 2: sizes are whole bytes; an assumption (what an engine needs beside weights and cache) has a name of its own.
"""
