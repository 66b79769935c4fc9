#!/bin/sh
# SPDX-License-Identifier: MIT
# What create, free and alloc did is told to programs as JSON, and so is what they could not do.
# shellcheck source=tests/support/lib.sh
. "${top_srcdir:?set by make check}/tests/support/lib.sh"

# holds EXPRESSION - fails unless it is true of `it`, the object in out.
holds() {
    python3 -c "import json, sys
it = json.load(open('out'))
sys.exit(not ($1))" || fail "not so: $1: $(cat out)"
}
for format in 1 0.2; do
    expect 0 mappedpages create -j -f $format -s 4KiB $format.mpp
    holds "it['file'] == '$format.mpp' and it['format'] == '$format' and it['page_size'] == 4096"
    cp out made
    expect 0 mappedpages info -j $format.mpp
    same made out
    expect 3 mappedpages create --json $format.mpp
    holds "it['error']['name'] == 'EXISTS' and 'info' in it['error']['hint']"
    expect 0 mappedpages alloc -j $format.mpp 20 21 22
    holds "it == {'regular': [20, 21, 22]}"
    expect 0 mappedpages free -j $format.mpp 20-21
    holds "it == {'regular': [20, 21]}"
    expect 0 mappedpages alloc -p $format.mpp
    expect 0 mappedpages free --json -p $format.mpp 0
    holds "it == {'protected': [0]}"
    expect 3 mappedpages free -j $format.mpp 20
    holds "it['error']['name'] == 'DOUBLE_FREE' and it['error']['page'] == 20"
    expect 0 mappedpages free $format.mpp 22
    said_nothing
    expect 0 mappedpages create -f $format $format.silent
    said_nothing
    expect 0 mappedpages alloc -p -c 3 $format.mpp
    expect 0 mappedpages alloc $format.mpp 30 31
    printf x >x
    expect 0 mappedpages write -j -p $format.mpp 1 <x
    holds "it == {'protected': [1]}"
    expect 3 mappedpages write -j $format.mpp 29 <x
    holds "it['error']['page'] == 29"
    expect 0 mappedpages map -j $format.mpp
    holds "it['file'] == '$format.mpp' and sum(it['pages'].values()) == it['total_pages']"
    holds "it['pages']['regular'] == 2"
    holds "sum(run['pages'] for run in it['free_runs']) == it['pages']['free'] >= it['longest_free_run']"
    expect 2 mappedpages map -j -s picture.svg $format.mpp
    expect 2 mappedpages read -j -x $format.mpp 30
    expect 0 mappedpages read -p $format.mpp 1
    mv out content
    expect 0 mappedpages read -j -p $format.mpp 1
    holds "it['protected'] == 1 and it['bytes'] == 4096"
    holds "__import__('base64').b64decode(it['base64'], validate=True) == open('content', 'rb').read()"
    expect 3 mappedpages read -j $format.mpp 29
    holds "it['error']['page'] == 29"
    expect 3 mappedpages read -j missing.mpp 29
    holds "it['error']['name'] == 'IO' and 'create' in it['error']['hint']"
    expect 0 mappedpages dump -j $format.mpp
    mv out pages.tar
    mv err out
    holds "it == {'file': '$format.mpp', 'regular_pages': 2, 'protected_pages': 3}"
    expect 0 mappedpages dump $format.mpp
    same out pages.tar
    expect 0 mappedpages load -j $format.silent <pages.tar
    holds "it == {'file': '$format.silent', 'regular_pages': 2, 'protected_pages': 3}"
    expect 3 mappedpages load -j missing.mpp <pages.tar
    holds "it['error']['name'] == 'IO'"
    expect 3 mappedpages load -j $format.mpp <x
    holds "it['error'] == {'name': 'INVALID', 'message': 'not a tar archive; nothing was changed'}"
    head -c 4097 /dev/zero >long
    expect 3 mappedpages write -j $format.mpp 30 <long
    holds "it['error']['message'].startswith('longer than a page')"
done
