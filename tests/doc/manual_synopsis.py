#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Every function of every public header is in the synopsis of exactly one manual page, with the
prototype that the header has, and nothing else is; every error code is explained."""
import os
import pathlib
import re
import sys

TOP = pathlib.Path(os.environ.get("top_srcdir") or pathlib.Path(__file__).parents[2])
HEADERS = sorted((TOP / "src" / "api").glob("mappedpages*.h"))
PAGES = sorted((TOP / "doc").glob("mappedpages*.3"))


def squeeze(prototype):
    """With one space between words, and none elsewhere."""
    return re.sub(r" ?([^\w ]) ?", r"\1", " ".join(prototype.split()))


def declared(header):
    """The functions of a header: name to prototype. What macros define is not among them."""
    text = re.sub(r"/\*.*?\*/", "", header.read_text(), flags=re.S)
    text = re.sub(r"^#.*(\\\n.*)*", "", text, flags=re.M)
    found = {}
    for match in re.finditer(r"\b((?:MPG_API|static inline)\b[^;{}]*)[;{]", text):
        words = re.sub(r"\b(MPG_API|MPG_MUST_CHECK|static|inline)\b", "", match.group(1))
        found[re.search(r"\b(mpg_\w+)\s*\(", words).group(1)] = squeeze(words)
    return found


def section(page, name):
    lines, inside = [], False
    for line in page.read_text().splitlines():
        if line.startswith(".SH "):
            inside = line == ".SH " + name
        elif inside:
            lines.append(line)
    return lines


def shown(page):
    """The functions in the synopsis of a page: name and prototype, in order."""
    text = ""
    for line in section(page, "SYNOPSIS"):
        macro = re.match(r"\.(BI|B) (.*)", line)
        if not macro or "#include" in line or "pkg\\-config" in line:
            continue
        words = re.findall(r'"([^"]*)"|(\S+)', macro.group(2))
        between = "" if macro.group(1) == "BI" else " "
        text += between.join(quoted or plain for quoted, plain in words) + "\n"
    for statement in text.split(";"):
        name = re.search(r"\b(mpg_\w+)\(", statement)
        if name and "typedef" not in statement:
            yield name.group(1), squeeze(statement)


def main():
    faults = []
    places = {}
    for page in PAGES:
        for name, prototype in shown(page):
            places.setdefault(name, []).append((page.name, prototype))
    functions = {}
    for header in HEADERS:
        functions.update(declared(header))
    if len(functions) < 90:
        faults.append(f"only {len(functions)} functions found in {len(HEADERS)} headers")
    for name, prototype in functions.items():
        found = places.pop(name, [])
        if len(found) != 1:
            faults.append(f"{name} is in {len(found)} synopses: {[page for page, _ in found]}")
        elif found[0][1] != prototype:
            faults.append(f"{found[0][0]} has\n    {found[0][1]}\n  for\n    {prototype}")
    for name, found in places.items():
        faults.append(f"{found[0][0]} shows {name}, which no header declares")

    codes = re.findall(r"^    (MPG_E_\w+) = ", (TOP / "src" / "api" / "mappedpages.h").read_text(), re.M)
    explained = [line[3:] for line in section(TOP / "doc" / "mappedpages_errors.3", "ERRORS")
                 if line.startswith(".B MPG_E_")]
    if len(codes) < 25 or sorted(codes) != sorted(explained):
        faults.append(f"error codes not explained once: {set(codes) ^ set(explained)}")

    for page in PAGES:
        for word in re.findall(r"\b(mappedpages_\w+) \(3\)", page.read_text()):
            if not (TOP / "doc" / (word + ".3")).exists():
                faults.append(f"{page.name} refers to {word}(3), which there is not")
    print("\n".join(faults))
    return 1 if faults else 0


sys.exit(main())
