# SPDX-License-Identifier: Apache-2.0
"""How the embedded model is made: tokenizer, plain-torch Llama, data, training loop. See README.md beside this file.

Rule 1: torch is only here. Nothing under src/ imports this package, and an installation does not contain it.
Rule 2: arrows point down: train -> data, llama, optimiser, tokenizer -> inferometer.tasks, inferometer.embedded.words.
"""
