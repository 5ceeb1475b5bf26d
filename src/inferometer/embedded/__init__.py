# SPDX-License-Identifier: Apache-2.0
"""The engine that comes with the project: a small model made on first use, served by the real llama.cpp server."""
