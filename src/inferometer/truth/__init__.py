# SPDX-License-Identifier: Apache-2.0
"""Ground truth: a server that sends at prescribed instants and logs its own stamps, and what the tool made of them.

events.py    the answers of the API as bytes
script.py    what is sent, and when
faults.py    answers that go wrong on purpose
ask.py       requests as bytes, understood
server.py    the loop that sends (options.py: its flags; poller.py: its waiting; stamps.py: its log being written)
launch.py    the server as a child process
log.py       the log as arrays; measured minus true
selftest.py  a ladder of loads, and where the tool stops being right
ceiling.py   a ladder of rates, and where the server stops being on time
"""
