#!/bin/sh
# SPDX-License-Identifier: MIT
# map: the picture counts what list and info count, fits its width at any size of file, and has no colours where none
# are wanted; as SVG it is XML, whatever the file's name is.
# shellcheck source=tests/support/lib.sh
. "${top_srcdir:?set by make check}/tests/support/lib.sh"

expect 0 mappedpages create --page-size 1K --pages 100 file
expect 0 mappedpages alloc --count 20 file
expect 0 mappedpages alloc -p --count 3 file
expect 0 mappedpages free file 5 6 7 9

expect 0 mappedpages map file
said_once() {
    [ "$(grep -Ec "$1" out)" -eq 1 ] || fail "no line, or several, of '$1': $(cat out)"
}
number() { # of the facts that info prints in JSON
    mappedpages info --json file | python3 -c "import json, sys; print(json.load(sys.stdin)['$1'])"
}
said_once "^M metadata +$(number metadata_pages) "
said_once "^R regular +$(number regular_pages) "
said_once "^\. free +$(number free_pages) "
said_once "^$(number total_pages) pages, 1 to a cell$"
[ "$(grep -E '^ *[0-9]+  [RrPpMm.]+$' out | tr -cd 'RrPpMm.' | wc -c)" -eq "$(number total_pages)" ] ||
    fail "not a letter for each page: $(cat out)"
grep -q '^ *0  MMMRR' out || fail "not the beginning of this file: $(cat out)"
said_once 'R\.\.\.R\.R'

# A file of many pages still makes a picture of a few lines, none of them wider than the output.
expect 0 mappedpages create --pages 3000000 large
expect 0 mappedpages alloc --count 700000 large
expect 0 mappedpages map large
[ "$(wc -l <out)" -le 60 ] || fail "$(wc -l <out) lines"
awk 'length > 80 { exit 1 }' out || fail "wider than 80 columns"
said_once '^3000000 pages, [0-9]{4} to a cell$'

# The longest run, and how many there are of each length, are those of the ids that list leaves out.
expect 0 mappedpages create --pages 40 runs
expect 0 mappedpages alloc --count 37 runs
expect 0 mappedpages free runs 3 10 11 20 21 22 23 24 39
expect 0 mappedpages map runs
said_once 'the longest of 5:'
said_once '^ +1\+ +2 +2 '
said_once '^ +2\+ +1 +2 '
said_once '^ +4\+ +1 +5 '

# Format 0.2 has two copies of a protected page: which one is current is seen.
expect 0 mappedpages create --format 0.2 two
expect 0 mappedpages alloc -p --count 3 two
echo x | mappedpages write -p two 1 || fail "write"
expect 0 mappedpages map two
mv out picture
expect 0 mappedpages list -pl two
while read -r _ _ _ _ _ _ current _ other; do
    for page in "$current:P" "$other:O"; do
        letter=$(sed -n 's/^ *[0-9]*  \([A-Z.]*\)$/\1/p' picture | tr -d '\n' | cut -c $((${page%:*} + 1)))
        [ "$letter" = "${page#*:}" ] || fail "page ${page%:*} is drawn as $letter: $(cat picture)"
    done
done <out
expect 0 mappedpages map --json two
grep -q '"other_copies": 3' out || fail "other copies are not counted: $(cat out)"

# A terminal gets colours, unless it is asked not to, or cannot show them.
colours() { # of what a terminal is shown
    TERM=xterm LC_ALL=C.UTF-8 script -q -c "$1" typescript </dev/null >/dev/null 2>&1 || return 1
    grep -c "$(printf '\033')\\[38" typescript
}
if script -q -c true /dev/null </dev/null >/dev/null 2>&1; then
    [ "$(colours 'mappedpages map file')" -gt 0 ] || fail "no colours on a terminal"
    [ "$(colours 'NO_COLOR=1 mappedpages map file')" -eq 0 ] || fail "colours against NO_COLOR"
    for setting in TERM=dumb TERM= LC_ALL=C; do
        [ "$(colours "$setting mappedpages map file")" -eq 0 ] || fail "colours on a terminal of $setting"
        grep -q '^ *0  MMMRR' typescript || fail "no letters on a terminal of $setting: $(cat typescript)"
    done
fi

name='a<b>&"c"'
cp file "$name"
expect 0 mappedpages map --svg picture.svg "$name"
said_nothing
expect 0 mappedpages map --svg - "$name"
same picture.svg out
python3 - "$name" <<'END' || fail "the picture is not what it should be"
import sys
import xml.etree.ElementTree as tree
picture = tree.parse("picture.svg").getroot()
space = "{http://www.w3.org/2000/svg}"
texts = [text.text for text in picture.iter(space + "text")]
assert texts[0] == sys.argv[1], texts
assert any(text.startswith("protected ") for text in texts), texts
assert len(list(picture.iter(space + "rect"))) > 100
END
# A picture takes the place of a picture, not of a page file.
expect 0 mappedpages map --svg picture.svg file
cp file before
for victim in file two; do
    cp $victim before
    expect 3 mappedpages map --svg $victim file
    complained "$victim: it is a page file"
    same $victim before
done
expect 3 mappedpages map --svg none/picture.svg file
complained 'none/picture.svg'
expect 3 mappedpages map none
expect 2 mappedpages map
expect 2 mappedpages map --svg
