# SPDX-License-Identifier: Apache-2.0
"""One file per engine: how it is started (LAUNCH) and what is known of it (FACTS). Data, used by its value."""
