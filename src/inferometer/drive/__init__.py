# SPDX-License-Identifier: Apache-2.0
"""Driving: one loop that sends what is due, stamps what arrives, and writes both down."""
