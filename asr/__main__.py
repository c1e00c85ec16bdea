"""`python -m asr`: the same as `asr`."""

from asr.cli import main

main(prog_name="asr")
