# SPDX-License-Identifier: Apache-2.0
"""A server to be started by the tests, that behaves as badly as its flags say. Not a test."""

from __future__ import annotations

import argparse
import http.server
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

SLEEPER = [sys.executable, "-c", "import signal; signal.pause()"]
STUBBORN = [
    sys.executable,
    "-c",
    "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); "
    "[signal.pause() for _ in iter(int, 1)]",
]


class Answer(http.server.BaseHTTPRequestHandler):
    n_loading = 0
    knows: tuple[str, ...] = ()

    def do_GET(self):
        if Answer.n_loading:
            Answer.n_loading -= 1
            status = 503
        else:
            status = 200 if self.path in self.knows else 404
        print(f"asked {self.path}: {status}", flush=True)
        self.send_response(status)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *args):
        pass


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--knows", nargs="*", default=["/health"])
    parser.add_argument("--loading", type=int, default=0, help="so many 503 first")
    parser.add_argument("--say", default="")
    parser.add_argument("--api-key", default="")
    parser.add_argument("--exit", type=int)
    parser.add_argument("--signal", type=int)
    parser.add_argument("--silent", action="store_true", help="accept connections, never answer")
    parser.add_argument("--deaf", action="store_true", help="ignore SIGTERM")
    parser.add_argument("--children", type=Path, help="start some, of the kinds that are hard to stop; pids go here")
    parser.add_argument("--fork", action="store_true", help="serve from a child, and end well at once")
    options = parser.parse_args()
    if options.say:
        print(options.say, file=sys.stderr, flush=True)
    if options.exit is not None:
        return options.exit
    if options.signal is not None:
        os.kill(os.getpid(), options.signal)
    if options.deaf:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if options.children:
        options.children.write_text(" ".join(str(pid) for pid in start_children()))
    if options.fork and os.fork():
        return 0
    Answer.n_loading, Answer.knows = options.loading, tuple(options.knows)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", options.port), Answer)
    if options.silent:
        threading.Event().wait()
    server.serve_forever()
    return 0


def start_children() -> list[int]:
    """One as usual, one in a session of its own, one deaf to SIGTERM, one whose parent has ended (a daemon)."""
    usual = subprocess.Popen(SLEEPER)
    session = subprocess.Popen(SLEEPER, start_new_session=True)
    deaf = subprocess.Popen(STUBBORN, start_new_session=True, stdout=subprocess.PIPE)
    deaf.stdout.readline()
    code = f"import subprocess; print(subprocess.Popen({SLEEPER!r}, start_new_session=True, stdout=-3, stderr=-3).pid)"
    daemon = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True).stdout
    return [usual.pid, session.pid, deaf.pid, int(daemon)]


if __name__ == "__main__":
    sys.exit(main())
