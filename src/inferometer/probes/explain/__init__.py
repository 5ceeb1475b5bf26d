# SPDX-License-Identifier: Apache-2.0
"""Examinations of a server on the bench, one file for each challenge of inference."""
