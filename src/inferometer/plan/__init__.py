# SPDX-License-Identifier: Apache-2.0
"""Plans: what is sent, and when; decided before anything is measured."""
