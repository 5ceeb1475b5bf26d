# SPDX-License-Identifier: Apache-2.0
"""Examinations: what `inferometer explain ...` asks of a server on the bench, one file for each challenge."""
