# SPDX-License-Identifier: MIT
"""Format 1 without the library: the records behind a root. See reader_1.py."""
import struct

from reader import OpenError
from reader_1_trees import (Entry, FREE, IN_USE, NO_GENERATION, ORDERED, PROTECTED, REGULAR,
                            RESERVED_PAGES, USES, are_places, crc32)

RECORD, CONTINUATION = b"MPGL", b"MPGC"
BODY, CONTINUATION_BODY = 104, 8
PART, ENTRY_DELTA, SPACE_DELTA = 16, 24, 16
REDO, MARK = 24, 8
MOST_PARTS = 64
MOST_RECORDS = 512
MOST_REDO_BYTES = 64 << 20


class NoRecord(Exception):
    """What is at a place does not count as a record; the argument says why."""


def demand(why, holds):
    if not holds:
        raise NoRecord(why)


class EntryDelta:
    def __init__(self, data, at):
        self.id, self.page, self.crc, self.flags, self.zeros = struct.unpack_from(
            "<QQIB3s", data, at)
        self.in_use = bool(self.flags & IN_USE)


class SpaceDelta:
    def __init__(self, data, at):
        self.first, self.count, self.use, self.zeros = struct.unpack_from("<QIB3s", data, at)
        self.end = self.first + self.count


class Redo:
    """What is to be in a regular page that is in use."""

    def __init__(self, data, at):
        self.page, self.source, self.crc, self.zero = struct.unpack_from("<QQII", data, at)


class Record:
    """The record at a place, by itself: whole, with all its continuations. NoRecord if it is not."""

    def __init__(self, file, page):
        size = file.geometry.node
        demand("its place is not in the file", RESERVED_PAGES <= page < file.page_count)
        data = file.page(page)[:size]
        tag, used = struct.unpack_from("<4sI", data, 0)
        demand("it is no record", tag == RECORD and BODY <= used <= size)
        (self.generation, self.page, self.root_generation, self.root_crc, self.link, self.crc,
         self.flags) = struct.unpack_from("<QQQIIII", data, 8)
        seeded = crc32(bytes(4), crc32(data[:40], crc32(file.uuid)))
        demand("its CRC differs", self.crc == crc32(data[44:used], seeded))
        demand("it is that of another page", self.page == page)
        demand("its generation is none", self.generation < NO_GENERATION)
        (self.total, self.free, self.protected, self.next, self.after, entries, spaces, parts,
         redos) = struct.unpack_from("<QQQQQIIII", data, 48)
        self.is_ordered = bool(self.flags & ORDERED)
        mark = MARK if redos else 0
        demand("it has too many redos",
               redos <= max(1, MOST_REDO_BYTES // file.geometry.page_size) and used + mark <= size)
        room = size - (REDO + mark if redos else 0)
        demand("it has too many continuations",
               parts <= MOST_PARTS and BODY + PART * parts <= room)
        self.parts = [struct.unpack_from("<QII", data, BODY + PART * number)
                      for number in range(parts)]
        self.redos, self.entries, self.spaces = [], [], []
        self._wanted = redos, entries, spaces
        self.is_marked = bool(redos) and data[used:used + MARK] == (
            b"MPGD" + struct.pack("<I", self.crc))
        self._take_deltas(data, BODY + PART * parts, used, size - mark)
        for page_of_part, crc, _ in self.parts:
            self._take_continuation(file, page_of_part, crc)
        demand("its deltas do not fit into it",
               (len(self.redos), len(self.entries), len(self.spaces)) == self._wanted)

    def _take_continuation(self, file, page, crc):
        size = file.geometry.node
        demand("a continuation is not in the file", RESERVED_PAGES <= page < file.page_count)
        data = file.page(page)[:size]
        tag, used = struct.unpack_from("<4sI", data, 0)
        demand("a continuation is none", tag == CONTINUATION and CONTINUATION_BODY <= used <= size)
        demand("the CRC of a continuation differs", crc == crc32(data[:used], crc32(file.uuid)))
        self._take_deltas(data, CONTINUATION_BODY, used, size)

    def _take_deltas(self, data, at, used, size):
        """As many as fit whole: redos, then deltas of the directory, then of space."""
        redos, entries, spaces = self._wanted
        while len(self.redos) < redos and at + REDO <= size:
            self.redos.append(Redo(data, at))
            at += REDO
        while (len(self.redos) == redos and len(self.entries) < entries
               and at + ENTRY_DELTA <= size):
            self.entries.append(EntryDelta(data, at))
            at += ENTRY_DELTA
        while ((len(self.redos), len(self.entries)) == (redos, entries)
               and len(self.spaces) < spaces and at + SPACE_DELTA <= size):
            self.spaces.append(SpaceDelta(data, at))
            at += SPACE_DELTA
        demand("used is not what its deltas take", used == at)

    def pages(self):
        """Those that the record itself lies in, and what it is to put elsewhere."""
        return self.own_pages() + [redo.source for redo in self.redos]

    def own_pages(self):
        return [self.page] + [page for page, _, _ in self.parts]


class Chain:
    """The records that follow a root, as far as they count."""

    def __init__(self, file, root):
        self.file, self.root = file, root
        self.records = []
        while len(self.records) < MOST_RECORDS and self.end().next:
            try:
                self.records.append(self._record(self.end().next))
            except NoRecord:
                break
        self._look_behind_the_gap()

    def end(self):
        """What names the place of the next record."""
        return self.records[-1] if self.records else self.root

    def _record(self, page, behind_gap=False):
        """A record that counts behind the end of the chain; or behind one that is missing there."""
        end, record = self.end(), Record(self.file, page)
        demand("it follows another root", (record.root_generation, record.root_crc)
               == (self.root.generation, self.root.crc))
        demand("its generation is too low", record.generation > end.generation)
        demand("it counts pages that the file has not",
               RESERVED_PAGES <= record.total <= self.file.page_count)
        demand("a redo is not in the file",
               all(RESERVED_PAGES <= page < self.file.page_count
                   for redo in record.redos for page in (redo.page, redo.source)))
        demand("what it names cannot be the next places",
               are_places(record.next, record.after, record.total))
        if not behind_gap:
            demand("it follows another record", record.link == end.crc)
            demand("its next place is another than was said", record.next == end.after)
        return record

    def _look_behind_the_gap(self):
        """A record behind one that does not count proves that there was one: that is damage."""
        end = self.end()
        if not (end.next and end.after):
            return
        try:
            self._record(end.after, behind_gap=True)
        except NoRecord:
            return
        raise OpenError("CORRUPT_METADATA")

    def contents_are_there(self, record):
        """Whether all that a record names is there; only that of the last one can be missing."""
        if record.is_marked or (record.is_ordered and not record.redos):
            return True
        if any(crc32(self.file.page(redo.source)) != redo.crc for redo in record.redos):
            return False
        return all(crc32(self.file.page(delta.page)) == delta.crc
                   for delta in record.entries if delta.in_use)


class Replay:
    """The state that the trees show, and what each record makes of it."""

    def __init__(self, trees, want):
        self.uses, self.entries, self.want = trees.uses, dict(trees.entries), want
        self.nodes, root = trees.nodes, trees.root
        self.total, self.free, self.protected = root.total, root.free, root.protected
        self.generation = root.generation

    def apply(self, record):
        name = f"record {record.generation}"
        self._check_head(record, name)
        self.total, self.generation = record.total, record.generation
        self.uses.extend(bytes(max(0, record.total - len(self.uses))))
        self._apply_entries(record, name)
        self._apply_spaces(record, name)
        self._check_redos(record)
        self.free, self.protected = record.free, record.protected
        self._check_counts(record, name)

    def _check_head(self, record, name):
        self.want(f"{name}: no flag but ORDERED", record.flags <= ORDERED)
        self.want(f"{name}: zero behind the CRCs of its redos",
                  not any(redo.zero for redo in record.redos))
        self.want(f"{name}: zero behind the CRCs of its continuations",
                  not any(zero for _, _, zero in record.parts))
        self.want(f"{name}: the file does not shrink", record.total >= self.total)

    def _apply_entries(self, record, name):
        damaged = OpenError("CORRUPT_METADATA")
        self.want(f"{name}: ids ascend", all(one.id < other.id for one, other in
                                            zip(record.entries, record.entries[1:])))
        if len({delta.id for delta in record.entries}) < len(record.entries):
            raise damaged
        for delta in record.entries:
            self._check_entry(delta, name)
            old = self.entries.get(delta.id)
            if old:
                self._change(old.page, PROTECTED, FREE)
            elif not delta.in_use:
                raise damaged
        for delta in record.entries:
            if delta.in_use:
                self._change(delta.page, FREE, PROTECTED)
                self.entries[delta.id] = Entry(delta.page, record.generation, delta.crc)
            else:
                del self.entries[delta.id]

    def _check_entry(self, delta, name):
        self.want(f"{name}: no flag of an entry but one", delta.flags <= IN_USE)
        self.want(f"{name}: bytes 21-23 of a directory delta are zero", not any(delta.zeros))
        self.want(f"{name}: an entry that is no longer in use is zero",
                  delta.in_use or not (delta.page or delta.crc))

    def _apply_spaces(self, record, name):
        self.want(f"{name}: pages ascend", all(one.end <= other.first for one, other in
                                              zip(record.spaces, record.spaces[1:])))
        for delta in record.spaces:
            self.want(f"{name}: bytes 13-15 of a space delta are zero", not any(delta.zeros))
            self.want(f"{name}: a space delta of no page", delta.count > 0)
            if delta.use not in (FREE, REGULAR) or delta.end > self.total:
                raise OpenError("CORRUPT_METADATA")
            for page in range(delta.first, delta.end):
                self._change(page, REGULAR if delta.use == FREE else FREE, delta.use)

    def _check_redos(self, record):
        """They put what is in pages that are nobody's into regular ones."""
        others = record.own_pages() + [record.next, record.after]
        ascend = all(one.page < other.page and one.source < other.source
                     for one, other in zip(record.redos, record.redos[1:]))
        if not ascend or not all(RESERVED_PAGES <= redo.page < self.total
                                 and RESERVED_PAGES <= redo.source < self.total
                                 and self.uses[redo.page] == REGULAR
                                 and self.uses[redo.source] == FREE
                                 and redo.source not in others for redo in record.redos):
            raise OpenError("CORRUPT_METADATA")

    def _change(self, page, old, new):
        """No page may be taken that was not free, none given back that was not in use."""
        if not RESERVED_PAGES <= page < self.total or self.uses[page] != old:
            raise OpenError("CORRUPT_METADATA")
        self.uses[page] = new

    def _check_counts(self, record, name):
        free, protected = self.uses.count(FREE), len(self.entries)
        self.want(f"{name} counts {record.free} free pages, there are {free}",
                  record.free == free)
        self.want(f"{name} counts {record.protected} protected pages, there are {protected}",
                  record.protected == protected)
        self.want(f"{name}: as many pages are free as are protected",
                  record.free >= record.protected)

    def check_rest(self, root, records):
        """What the chain lies in, and where it goes on, is free and nothing else."""
        pages = [page for record in records for page in record.pages()]
        end = records[-1] if records else root
        pages += [place for place in (end.next, end.after) if place]
        self.want("a page of the chain is named twice", len(set(pages)) == len(pages))
        for page in pages:
            if RESERVED_PAGES <= page < self.total:
                self.want(f"page {page} of the chain is {USES[self.uses[page]]}, not free",
                          self.uses[page] == FREE)
