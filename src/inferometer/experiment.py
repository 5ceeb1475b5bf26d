# SPDX-License-Identifier: Apache-2.0
"""One experiment: find or start the server, ask it, plan, drive, write the run down.

Rule 1: everything that can be wrong is found before the first request is sent.
Rule 2: whatever happens after the folder is made, the folder says what happened, and the engine is stopped.
"""

from __future__ import annotations
