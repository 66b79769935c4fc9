#!/usr/bin/env -S python3 -B
# SPDX-License-Identifier: MIT
"""The floors of doc/architecture.md hold, by what the compiler made and not by what comments say: every call
between files of the library goes to the same folder or a lower one, no format calls the other, and in no
folder do files call each other in a circle; nor do they in the driver, the command and the benchmarks. Driver
and command call only what the public headers declare."""
import os
import pathlib
import subprocess
import sys
import tempfile

# From the lowest floor up. Folders of one line stand side by side: neither calls the other.
FLOORS = [["base"], ["os"], ["format"], ["format_0_2", "format_1"], ["pager"], ["life"], ["extras"]]

# (caller, callee): why this call upward or circle is right. The aim is none.
EXCEPTIONS = {}

FLOOR_OF = {folder: floor for floor, folders in enumerate(FLOORS, 1) for folder in folders}


class Files:
    """Object files under the names of their sources, and who calls whom by which symbol."""

    def __init__(self, objects):
        self.defines = {}
        needs = {}
        for source, path in objects.items():
            needs[source] = set()
            for line in subprocess.run(["nm", path], check=True, capture_output=True, text=True).stdout.splitlines():
                *_, kind, symbol = line.split()
                if kind == "U":
                    needs[source].add(symbol)
                elif kind.isupper():
                    self.defines[symbol] = source
        self.needs = needs
        self.calls = {source: {} for source in objects}
        for source, symbols in needs.items():
            for symbol in sorted(symbols):
                callee = self.defines.get(symbol, source)
                if callee != source:
                    self.calls[source].setdefault(callee, symbol)

    def circle_from(self, start):
        """The shortest way from a file back to itself, as a list of files; None if there is none."""
        ways = [[start]]
        seen = set()
        for way in ways:
            for callee in self.calls[way[-1]]:
                if callee == start:
                    return way + [start]
                if callee not in seen:
                    seen.add(callee)
                    ways.append(way + [callee])
        return None

    def circles(self):
        """Each circle once, told from its first file on."""
        told = set()
        for source in sorted(self.calls):
            way = self.circle_from(source)
            if way is not None and frozenset(way) not in told:
                told.add(frozenset(way))
                steps = [f"{way[0]}"]
                steps += [f"calls {self.calls[a][b]} of {b}" for a, b in zip(way, way[1:])]
                yield "a circle: " + ", which ".join(steps)


def folder_of(source):
    return pathlib.PurePath(source).parent.name


def upward_calls(files):
    for caller, callees in files.calls.items():
        for callee, symbol in callees.items():
            here, there = folder_of(caller), folder_of(callee)
            if here == there or FLOOR_OF[there] < FLOOR_OF[here] or (caller, callee) in EXCEPTIONS:
                continue
            how = "upward" if FLOOR_OF[there] > FLOOR_OF[here] else "across"
            yield (f"{caller} (floor {FLOOR_OF[here]}) calls {symbol} of {callee} "
                   f"(floor {FLOOR_OF[there]}): that is {how}")


def private_calls(files):
    """Of the library's symbols, those that no public header declares."""
    for caller, symbols in files.needs.items():
        for symbol in sorted(symbols):
            if symbol.startswith("mpgi_"):
                yield f"{caller} calls {symbol}, which is not public"


def library_faults(files):
    return list(upward_calls(files)) + list(files.circles())


# ---- The tree that was built

def objects_of(top, build, pattern, prefixes):
    """The object file of each source that matches; a program that was not built has none."""
    found = {}
    for source in sorted(pathlib.Path(top).glob(pattern)):
        name = source.relative_to(top)
        folder = pathlib.Path(build, name.parent)
        for prefix in prefixes:
            path = folder / f"{prefix}{source.stem}.o"
            if not path.exists():
                path = folder / ".libs" / f"{prefix}{source.stem}.o"
            if path.exists():
                found[str(name)] = path
                break
    return found


def faults_of_tree(top, build):
    objects = objects_of(top, build, "src/*/*.c", ["libmappedpages_la-"])
    sources = sorted(str(path.relative_to(top)) for path in pathlib.Path(top).glob("src/*/*.c"))
    faults = [f"{source} was not built" for source in sources if source not in objects]
    faults += [f"{source} stands on no floor" for source in objects if folder_of(source) not in FLOOR_OF]
    if not faults:
        faults = library_faults(Files(objects))
    for folder, prefixes in (("fuse", [""]), ("tools", [""]), ("bench", ["library-", ""])):
        files = Files(objects_of(top, build, f"{folder}/*.c", prefixes))
        faults += list(files.circles())
        if folder != "bench":
            faults += list(private_calls(files))
            if not files.calls:
                faults.append(f"nothing of {folder}/ was built")
    return faults


# ---- Whether this test can fail

PIECES = {
    "an upward call": ({"src/base/low.c": "void high(void); void low(void) { high(); }",
                        "src/pager/high.c": "void high(void) { }"},
                       ["src/base/low.c", "high of src/pager/high.c", "upward"]),
    "a call between formats": ({"src/format_0_2/old.c": "void recent(void); void old(void) { recent(); }",
                                "src/format_1/new.c": "void recent(void) { }"},
                               ["src/format_0_2/old.c", "recent of src/format_1/new.c", "across"]),
    "a circle": ({"src/life/a.c": "void b(void); void a(void) { b(); }",
                  "src/life/b.c": "void c(void); void b(void) { c(); }",
                  "src/life/c.c": "void a(void); void c(void) { a(); }"},
                 ["circle", "calls b of src/life/b.c", "calls c of src/life/c.c", "calls a of src/life/a.c"]),
    "data of a higher floor": ({"src/os/reads.c": "extern int count; int reads(void) { return count; }",
                                "src/extras/has.c": "int count = 1;"},
                               ["src/os/reads.c", "count of src/extras/has.c"]),
    "a call downward": ({"src/pager/high.c": "void low(void); void high(void) { low(); }",
                         "src/base/low.c": "void low(void) { }"}, []),
}


def self_test(directory):
    compiler = os.environ.get("CC", "cc").split()
    for name, (sources, words) in PIECES.items():
        objects = {}
        for source, text in sources.items():
            path = pathlib.Path(directory, source)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="ascii")
            objects[source] = path.with_suffix(".o")
            subprocess.run([*compiler, "-c", "-o", objects[source], path], check=True)
        told = "\n".join(library_faults(Files(objects)))
        if (not words and told) or any(word not in told for word in words):
            raise SystemExit(f"{name} is told as: {told or 'nothing'}")


def main():
    top, build = os.environ["top_srcdir"], os.environ["top_builddir"]
    with tempfile.TemporaryDirectory() as directory:
        self_test(directory)
    faults = faults_of_tree(top, build)
    for fault in faults:
        print(fault)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
