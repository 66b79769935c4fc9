#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What documents refer to is there: in the sources, and where they are installed; and each document can be reached
from doc/README.md."""
import os
import pathlib
import re
import subprocess
import sys
import tempfile

top = pathlib.Path(os.environ["top_srcdir"])
build = os.environ["top_builddir"]
LINK = re.compile(r"\]\(([^)\s]*)\)|(?:src|srcset|href)=\"([^\"]*)\"")


def without_code(text):
    return re.sub(r"```.*?```|`[^`]*`", "", text, flags=re.S)


def anchors(path):
    """Names of a document's headings, as a link has them."""
    found = re.findall(r"^#+ (.*)$", without_code(path.read_text(encoding="utf-8")), flags=re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in found}


def links(path):
    for match in LINK.finditer(without_code(path.read_text(encoding="utf-8"))):
        target = match[1] or match[2]
        if not re.match(r"[a-z]+:", target):
            yield target


def check(path, faults):
    """Looks for what the document refers to. Returns the documents among it."""
    found = set()
    for target in links(path):
        name, _, anchor = target.partition("#")
        place = (path.parent / name).resolve() if name else path
        if not place.exists():
            faults.append(f"{path}: {target} is not there")
        elif anchor and anchor not in anchors(place):
            faults.append(f"{path}: {name} has no such heading: #{anchor}")
        elif place.suffix == ".md":
            found.add(place)
    return found


def reachable(start, faults):
    seen, waiting = set(), {start.resolve()}
    while waiting:
        path = waiting.pop()
        seen.add(path)
        waiting |= check(path, faults) - seen
    return seen


def main():
    faults = []
    documents = {path.resolve() for path in [*top.glob("*.md"), *(top / "doc").glob("*.md")]}
    if len(documents) < 8:
        faults.append(f"few documents: {documents}")
    for path in documents - reachable(top / "doc" / "README.md", faults):
        faults.append(f"{path} cannot be reached from doc/README.md")
    listed = (top / "doc" / "README.md").read_text(encoding="utf-8")
    for page in (top / "doc").glob("*.[1-8]"):
        if f"`{page.stem}`" not in listed and f"`{page.name}`" not in listed:
            faults.append(f"doc/README.md does not list the manual page {page.name}")
    with tempfile.TemporaryDirectory() as root:
        root = pathlib.Path(root).resolve()
        for directory in (".", "doc"):
            subprocess.run(["make", "-C", f"{build}/{directory}", "install-data-am", f"DESTDIR={root}",
                            "docdir=/usr/share/doc/mappedpages", "mandir=/usr/share/man"],
                           check=True, capture_output=True)
        installed = list(root.rglob("*.md"))
        if len(installed) < 8:
            faults.append(f"few documents are installed: {installed}")
        for path in installed:
            check(path, faults)
    print("\n".join(faults), file=sys.stderr)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
