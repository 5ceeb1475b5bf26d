# SPDX-License-Identifier: Apache-2.0
"""What engines built on PyTorch say when they cannot start, in words that several of them share."""

from __future__ import annotations

from inferometer.engines.launch import Failure

OUT_OF_MEMORY = Failure(
    r"out of memory|outofmemoryerror|cannot allocate memory|defaultcpuallocator",
    "give it less to hold: lower --set context, --set max_concurrency or --set kv_ratio, or take a smaller model",
)
NO_DEVICE = Failure(
    r"not compiled with cuda|no cuda gpus|failed to infer device|found no nvidia driver|cuda driver version",
    "it needs a device that it was built for: see `inferometer engines` for what this machine has",
)
UNSUPPORTED = Failure(
    r"architectures? .*(not supported|unsupported)|unsupported (model )?architecture|unrecognized (model|configuration)"
    r"|does not recognize this architecture",
    "take a newer version of the engine, or another model",
)
PORT_IN_USE = Failure(
    r"address (is )?already in use|errno 98|eaddrinuse|couldn't bind", "choose another port, or let one be chosen"
)
NOT_THERE = Failure(
    r"no module named|modulenotfounderror|packagenotfounderror|importerror",
    "its installation is not whole: install it again",
)
SHARED = (OUT_OF_MEMORY, NO_DEVICE, UNSUPPORTED, PORT_IN_USE, NOT_THERE)
