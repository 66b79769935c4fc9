#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Makes the tables of doc/repair.md anew: what is saved of files whose parts are destroyed one by one, and at random.

    tables.py BUILD        runs life/damage_test with all it has (MPG_DAMAGE=all), and life/random_test with 10,000
                           damages, which takes an hour, and puts what they print into doc/repair.md
    tables.py DAMAGE RANDOM   puts what they have printed, kept in two files, there
"""
import os
import pathlib
import subprocess
import sys

DOCUMENT = pathlib.Path(__file__).parents[2] / "doc" / "repair.md"
TESTS = (("life/damage_test", {"MPG_DAMAGE": "all"}), ("life/random_test", {"MPG_DAMAGES": "10000"}))


def printed(build, test, environment):
    made = subprocess.run([pathlib.Path(build) / "tests" / test], env={**os.environ, **environment},
                          stdout=subprocess.PIPE, check=True)
    return made.stdout.decode()


def put(text, table):
    """The table whose first line is the same is replaced."""
    rows = [line for line in table.splitlines() if line.startswith("|")]
    lines = text.splitlines()
    first = next(i for i, line in enumerate(lines) if line.split("|")[1:3] == rows[0].split("|")[1:3])
    end = next(i for i in range(first, len(lines)) if not lines[i].startswith("|"))
    return "\n".join(lines[:first] + rows + lines[end:]) + "\n"


def main(arguments):
    if len(arguments) == 1:
        tables = [printed(arguments[0], test, environment) for test, environment in TESTS]
    elif len(arguments) == 2:
        tables = [pathlib.Path(name).read_text() for name in arguments]
    else:
        sys.exit(__doc__)
    text = DOCUMENT.read_text()
    for table in tables:
        text = put(text, table)
    DOCUMENT.write_text(text)


main(sys.argv[1:])
