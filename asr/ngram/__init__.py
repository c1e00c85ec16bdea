"""Word n-gram models: count, estimate, mix, prune, and write; `asr.language_model` reads and scores them."""
