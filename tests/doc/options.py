#!/usr/bin/env -S python3 -B
# SPDX-License-Identifier: MIT
"""Each option that a program tells of in its help stands in its manual page: in the synopsis of its command, and
with a paragraph of its own; and the manual has none that the help does not. README names every command."""
import os
import pathlib
import re
import subprocess
import sys

top = pathlib.Path(os.environ["top_srcdir"])
built = pathlib.Path(os.environ["top_builddir"])
faults = []


def plain(text):
    """A manual page without its fonts: what is left of a macro are its words, quotes and \\- undone."""
    lines = []
    for line in text.splitlines():
        line = re.sub(r"\\f[A-Z]|\\[&|]", "", line).replace("\\-", "-")
        if re.match(r"\.(SH|SS|TP)\b", line):
            lines.append(line)
            continue
        line = re.sub(r"^\.(BR|RB|BI|IB|RI|IR|B|I)\s+", "", line)
        lines.append(line.replace('" "', " ").replace('"', ""))
    return "\n".join(lines)


def options_in(text):
    """-jq stands for -j and -q."""
    found = set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", text))
    for letters in re.findall(r"(?<![\w-])-([a-z]+)(?![a-z-])", text):
        found |= {"-" + letter for letter in letters}
    return found


def told(*command):
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    return run.stdout


def part(page, kind, title):
    found = re.search(rf"^\.{kind} {re.escape(title)}\n(.*?)(?=^\.S[HS] |\Z)", page, re.M | re.S)
    if found is None:
        faults.append(f"the manual has no part '{title}'")
        return ""
    return found.group(1)


def tagged(text):
    """The options that have paragraphs of their own."""
    tags = re.findall(r"^\.TP\n(.*)$", text, re.M)
    return {option for tag in tags for option in options_in(tag)}


def look_at_command(page, name):
    help_text = told(built / "tools/mappedpages", "help", name)
    options = set()
    for line in help_text.splitlines():
        if re.match(r" +-", line):
            options |= options_in(re.split(r"  +", line.strip())[0])
    if "--help" not in options:
        faults.append(f"{name}: no options found in its help")
    described = tagged(part(page, "SS", name))
    for option in sorted(options - described - {"--help", "-h"}):
        faults.append(f"{name}: the manual does not describe {option}")
    for option in sorted(described - options):
        faults.append(f"{name}: the help does not name {option}, which the manual describes")
    if not {"-j", "--json"} <= options:
        faults.append(f"{name}: no -j, --json")
    elif not re.search(rf"^\.TP\n.*\b{name}\b", part(page, "SH", "JSON"), re.M):
        faults.append(f"{name}: the manual does not say what its JSON holds")
    synopsis = re.search(rf"^mappedpages {name}\n(.*?)(?=^\.?(?:br|SH|PP))", page, re.M | re.S)
    usage = help_text.splitlines()[0]
    wanted = options_in(usage)
    shown = options_in(synopsis.group(1)) if synopsis else set()
    if synopsis is None:
        faults.append(f"{name}: not in the synopsis")
    elif wanted != shown:
        faults.append(f"{name}: usage {sorted(wanted)}, synopsis {sorted(shown)}")


def look_at_driver(page):
    text = told(built / "fuse/mappedpagesfs", "--help")
    described = part(page, "SH", "OPTIONS")
    names = set()
    for line in text.splitlines():
        option = re.match(r" +(-.*?)(?:  +|$)", line)
        if option is None:
            continue
        for word in re.split(r"[ ,]+", option.group(1)):
            names.add(re.sub(r"[A-Z=].*", "", word).strip())
    names -= {"", "-o", "-h", "--help", "-V", "--version"}
    if len(names) < 25:
        faults.append(f"mappedpagesfs: only these options found: {sorted(names)}")
    for name in sorted(names):
        if not re.search(rf"(?<![\w-]){re.escape(name)}(?![\w])", described):
            faults.append(f"mappedpagesfs: the manual does not describe {name}")


if not (built / "tools/mappedpages").exists() or not (built / "fuse/mappedpagesfs").exists():
    print("SKIP: a program is not built", file=sys.stderr)
    sys.exit(77)
tool_page = plain((top / "doc/mappedpages.1").read_text())
commands = re.findall(r"^  ([a-z]+) ", told(built / "tools/mappedpages", "help"), re.M)
if len(commands) < 17:
    faults.append(f"only these commands found: {commands}")
for command in commands:
    look_at_command(tool_page, command)
readme = (top / "README.md").read_text()
for command in commands:
    if f"`{command}`" not in readme:
        faults.append(f"README.md does not name the command {command}")
look_at_driver(plain((top / "doc/mappedpagesfs.1").read_text()))
for fault in faults:
    print(fault, file=sys.stderr)
sys.exit(bool(faults))
