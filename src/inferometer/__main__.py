# SPDX-License-Identifier: Apache-2.0
"""`python -m inferometer` is the `inferometer` command."""

from inferometer.cli.main import main

if __name__ == "__main__":
    main()
