#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The names of faults, and of what rescue and repair say, are the same in the code, in the manual and in doc/repair.md."""
import os
import pathlib
import re
import sys

TOP = pathlib.Path(os.environ.get("top_srcdir") or pathlib.Path(__file__).parents[2])
NAME = r'"([a-z]+(?:-[a-z]+)*)"'
# What makes a fault of mpg_check, and what makes a note of mpg_rescue or mpg_repair.
FAULTS = (r"\(mpg_fault\)\s*\{([^}]*)\}", r"\breport\((?:check|walk),\s*" + NAME)
NOTES = (r"mpgi_salvage_note\(\s*[^,]+,\s*" + NAME, r"(?:tell|ask)\(repair,\s*" + NAME,
         r"\bgive_page_up\(repair,\s*" + NAME)


def code():
    return {path: path.read_text() for path in sorted((TOP / "src").rglob("*.c"))}


def found(patterns, texts):
    names = set()
    for pattern in patterns:
        for text in texts:
            for match in re.finditer(pattern, text):
                names.update(re.findall(NAME, match.group(0)))
    return names


def fault_name(texts):
    """Those that mpg_fault_name returns."""
    body = re.search(r"const char \*mpg_fault_name\(int code\)\n\{(.*?)\n\}", "".join(texts), re.S)
    return set(re.findall("return " + NAME, body.group(1)))


def table(section):
    """The names in the first column of a section's tables."""
    text = (TOP / "doc" / "repair.md").read_text()
    body = re.search(rf"^## {section}$(.*?)^## ", text, re.S | re.M).group(1)
    return {name for cell in re.findall(r"^\| (`[^|]*`) \|", body, re.M)
            for name in re.findall(r"`([a-z-]+)`", cell)}


def manual(page, heading):
    text = (TOP / "doc" / f"mappedpages_{page}.3").read_text().replace("\\-", "-")
    body = re.search(rf"^\.SH {heading}$(.*?)^\.SH ", text, re.S | re.M).group(1)
    tagged = re.findall(r"^\.TP\n(\.BR? .*)$", body, re.M)
    return {name for line in tagged for name in re.findall(r"[a-z]+(?:-[a-z]+)*", re.sub(r'"[^"]*"', " ", line[3:]))}


def same(what, one, other):
    if one == other:
        return True
    print(f"{what}: only in the one: {sorted(one - other)}, only in the other: {sorted(other - one)}")
    return False


def main():
    texts = list(code().values())
    faults = found(FAULTS, texts) | fault_name(texts)
    notes = found(NOTES, texts)
    repair, rescue = table("Repair"), table("Rescue")
    good = same("faults: code, doc/repair.md", faults, table("Check"))
    good &= same("faults: code, mappedpages_check(3)", faults, manual("check", "FAULTS BY NAME"))
    good &= same("notes: code, doc/repair.md", notes - faults, (repair | rescue) - faults)
    good &= same("notes of rescue: doc/repair.md, mappedpages_rescue(3)", rescue,
                 manual("rescue", "NOTES BY NAME"))
    good &= same("notes of repair: doc/repair.md, mappedpages_repair(3)", repair,
                 manual("repair", "MORE NOTES BY NAME"))
    if len(faults) < 15 or len(notes) < 10:
        good = False
        print(f"the code was not understood: {sorted(faults)}, {sorted(notes)}")
    return 0 if good else 1


sys.exit(main())
