# SPDX-License-Identifier: Apache-2.0
"""The machine and its processes: starting a server, sampling what it and we cost, facts and checks of the host."""
