# SPDX-License-Identifier: Apache-2.0
"""The wire: HTTP/1.1, server-sent events and TLS without sockets. Bytes in, events out."""
