# SPDX-License-Identifier: Apache-2.0
"""Loops of run -> result -> next run: the only place where results steer what is measured next.

search.py    the highest load within limits: pure, over a function that takes a look at a load
limit.py     the same with runs of a real server; sweep.py: throughput and latency over a ladder of loads
"""
