# SPDX-License-Identifier: Apache-2.0
"""Ground truth: a server that sends at prescribed instants and logs its own stamps, and what the tool made of them.

events.py   one answer of the API as bytes          log.py       the server's log as arrays; measured minus true
script.py   what is sent, and when                  selftest.py  a ladder of loads, and where the tool stops being right
faults.py   answers that go wrong on purpose        ceiling.py   a ladder of rates, and where the server stops being on time
ask.py      a request as bytes, understood          launch.py    the server as a child process
server.py   the loop that sends
"""
