#!/usr/bin/env -S python3 -B
# SPDX-License-Identifier: MIT
"""Every golden file shows exactly its dump through the command `mappedpages`, or its error by name."""
import json
import os
import sys

from support import (COMMAND, Tests, command, constant_name, crc, goldens, run, want,
                            want_equal)

# Pages of each kind to read one by one, spread over all there are: each is a process.
PAGES_TO_READ = 12


def shows_its_facts(golden):
    info = json.loads(command("info", "--json", golden.path))
    want_equal(info["format"], "0.2", "format")
    found = {"page_size": info["page_size"], "page_count": info["total_pages"],
             "free_pages": info["free_pages"]}
    want_equal(found, golden.facts(), "facts")
    text = command("info", golden.path).decode()
    for value in golden.facts().values():
        want(str(value) in text, f"the text of info does not have {value}: {text}")


def lists_its_pages(golden):
    status = 1 if any("error" in line for line in golden.contents()) else 0
    lines = command("list", "--long", golden.path, status=status).decode().splitlines()
    short = [line.split()[:4] if " error " in line else line.split()[:3] for line in lines]
    want_equal([" ".join(words) for words in short], golden.contents(), "list --long")
    names = [" ".join(line.split()[:2]) for line in golden.contents()]
    want_equal(command("list", golden.path).decode().splitlines(), names, "list")


def reads_its_pages(golden):
    for kind in ("page", "protected"):
        lines = [line.split() for line in golden.contents() if line.startswith(kind + " ")]
        step = max(1, len(lines) // PAGES_TO_READ)
        for _, number, *content in lines[::step] + lines[-1:]:
            options = ["--protected"] if kind == "protected" else []
            if content[0] == "error":
                result = run(COMMAND, "read", *options, golden.path, number)
                want_equal((result.returncode, result.stdout), (3, b""), f"read {kind} {number}")
                want(os.path.basename(golden.path) in result.stderr.decode(),
                     f"does not name the file: {result.stderr}")
            else:
                data = command("read", *options, golden.path, number)
                want_equal(len(data), golden.facts()["page_size"], f"length of {kind} {number}")
                want_equal([crc(data)], content, f"{kind} {number}")


def is_refused_with_its_error(golden):
    result = run(COMMAND, "info", "--json", golden.path)
    want_equal(result.returncode, 3, "exit status of info")
    error = json.loads(result.stdout)["error"]
    want_equal(error["name"], golden.error, "error")
    want(len(error["message"].split()) >= 4, f"no sentence: {error['message']}")
    said = result.stderr.decode()
    want(os.path.basename(golden.path) in said and error["message"] in said,
         f"does not name the file and the reason: {said}")
    for arguments in (("list",), ("check",)):
        result = run(COMMAND, *arguments, golden.path)
        want(result.returncode in (1, 3), f"{arguments}: exit status {result.returncode}")


def check_tells_sound_from_damaged(golden):
    sound = golden.name.startswith("v0") or golden.name == "newer-patch"
    command("check", golden.path, status=0 if sound else 1)


def main():
    tests = Tests()
    want_equal(constant_name("CorruptMetadata"), "CORRUPT_METADATA", "constant_name")
    for golden in goldens():
        if golden.error:
            tests.test(f"{golden.name} error", is_refused_with_its_error, golden)
            continue
        tests.test(f"{golden.name} info", shows_its_facts, golden)
        tests.test(f"{golden.name} list", lists_its_pages, golden)
        tests.test(f"{golden.name} read", reads_its_pages, golden)
        tests.test(f"{golden.name} check", check_tells_sound_from_damaged, golden)
    tests.finish()


if __name__ == "__main__":
    sys.exit(main())
