# SPDX-License-Identifier: Apache-2.0
"""inferometer: measure LLM inference engines, and say how sure each number is."""

__version__ = "0.1.0"
