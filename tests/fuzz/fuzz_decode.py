"""Fuzz decoding and metadata with atheris: `make fuzz`, or with libFuzzer's own options behind the command.

New inputs that reach new code go to the first folder named (a scratch folder of `make fuzz`); a finding is written
beside them as crash-*. The corpus holds a seed a format, and found-*: inputs that reached code of their own, or were
findings and are fixed. The tests replay it.
"""

import sys

import atheris

with atheris.instrument_imports(include=["interceptor", "PIL"]):
    from fuzz_target import run_one


def main() -> None:
    """Hand over to libFuzzer; it never returns."""
    atheris.Setup(sys.argv, lambda content: run_one(content) and None)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
