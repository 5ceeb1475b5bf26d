# SPDX-License-Identifier: Apache-2.0
"""What several runs say together: pure functions of records and summaries."""
