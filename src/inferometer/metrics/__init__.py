# SPDX-License-Identifier: Apache-2.0
"""Metrics: pure functions of a trace. Importing the package registers all of them."""

from inferometer.metrics import latency, load, server, smoothness, stalls, throughput
from inferometer.metrics.registry import METRICS, Metric

__all__ = ["METRICS", "Metric", "latency", "load", "server", "smoothness", "stalls", "throughput"]
