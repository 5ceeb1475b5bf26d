# SPDX-License-Identifier: Apache-2.0
"""What several runs say together: pure functions of their summaries."""
