#!/bin/sh
# SPDX-License-Identifier: MIT
# Programs of others find what was installed: with pkg-config and a compiler, shared and static, with CMake and
# with Meson, as C++.
# shellcheck source=tests/support/lib.sh
. "${top_srcdir:?set by make check}/tests/support/lib.sh"

[ -z "${SANITIZERS:-}" ] || skip "what is built with sanitizers is not for others"
[ -e "$top_builddir/src/.libs/libmappedpages.so" ] || skip "no shared library in this build"
cp -R "$top_srcdir/examples/user" source && chmod -R u+w source || fail "no examples/user"

make -C "$top_builddir/src" install prefix="$work/installed" exec_prefix="$work/installed" >install.log 2>&1 ||
    fail "$(cat install.log)"
pc=$(find installed -name mappedpages.pc)
library=$(dirname "$(dirname "$pc")")
# What configure wrote down is where it would have gone.
sed -i "s|^prefix=.*|prefix=$work/installed|; s|^exec_prefix=.*|exec_prefix=$work/installed|" "$pc"
sed -i "s|^libdir=.*|libdir=$work/$library|; s|^includedir=.*|includedir=$work/installed/include|" "$pc"
PKG_CONFIG_PATH=$(dirname "$work/$pc")
LD_LIBRARY_PATH=$work/$library
export PKG_CONFIG_PATH LD_LIBRARY_PATH

# runs PROGRAM - it says which page it got.
runs() {
    rm -f user.mpp
    expect 0 "$1"
    said "allocated page 3"
}

# The words of pkg-config's answers are to be split.
# shellcheck disable=SC2046
${CXX:-c++} -o shared source/main.cc $(pkg-config --cflags --libs mappedpages) || fail "with pkg-config"
runs ./shared
# shellcheck disable=SC2046
${CXX:-c++} -o static source/main.cc $(pkg-config --cflags mappedpages) -Wl,-Bstatic \
    $(pkg-config --static --libs mappedpages) -Wl,-Bdynamic || fail "linked statically"
LD_LIBRARY_PATH='' runs ./static

if command -v cmake >/dev/null; then
    { cmake -S source -B with-cmake && cmake --build with-cmake; } >cmake.log 2>&1 || fail "$(cat cmake.log)"
    runs with-cmake/user
fi
if command -v meson >/dev/null && command -v ninja >/dev/null; then
    { meson setup with-meson source && ninja -C with-meson; } >meson.log 2>&1 || fail "$(cat meson.log)"
    runs with-meson/user
fi
