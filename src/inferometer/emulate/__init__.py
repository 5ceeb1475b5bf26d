# SPDX-License-Identifier: Apache-2.0
"""Emulated engines: servers that look like one engine from outside, and whose every instant is known.

law.py       how long an iteration takes
batch.py     queue, slots, iterations; prefixes.py: its prefix cache
tokens.py    its tokenizer; spoken.py: what the model says, and in which events; mind.py: how it answers our own tasks
answer.py    an answer that unfolds as tokens come; openai.py: in the shape of the OpenAI routes
gauges.py    what an engine counts of itself
emulation.py what an emulated engine is; one file for each of them; catalogue.py: all of them
defects.py   faults that any of them can be given
server.py    the loop; launch.py: as a child process

Nothing here imports the adapters (`inferometer.engines`): both are written from what is known of an engine, so that one
can be found wrong by the other.
"""
