# SPDX-License-Identifier: Apache-2.0
"""Reports: numbers that are already decided, laid out for a person or a program. Nothing is computed here."""
