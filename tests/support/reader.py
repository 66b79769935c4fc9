# SPDX-License-Identifier: MIT
"""What the readers of both formats have in common: how they are called, and what they print."""
import argparse
import sys


class OpenError(Exception):
    """The file cannot be opened; the argument is the error's name."""


def main(version, open_file, broken_rules, broken_rules_live=None):
    """Opens the file that the arguments name and prints what it holds; with --strict also the rules that
    `broken_rules` finds broken; with --live, of a file that was not closed, those that
    `broken_rules_live` does. Returns the exit status."""
    parser = argparse.ArgumentParser(description=f"Reads a page file of format {version}.")
    parser.add_argument("--strict", action="store_true", help="check every rule of the format")
    if broken_rules_live:
        parser.add_argument("--live", dest="strict", action="store_const", const="live",
                            help="the same, but for what holds for closed files alone")
    parser.add_argument("file")
    arguments = parser.parse_args()
    try:
        file = open_file(arguments.file)
    except OpenError as error:
        print(f"error {error}")
        if arguments.strict:
            print(f"{arguments.file}: cannot be opened: {error}", file=sys.stderr)
        return 1 if arguments.strict else 0
    for line in file.dump():
        print(line)
    if not arguments.strict:
        return 0
    broken = broken_rules_live(file) if arguments.strict == "live" else broken_rules(file)
    for rule in broken:
        print(f"{arguments.file}: broken rule: {rule}", file=sys.stderr)
    return 1 if broken else 0
