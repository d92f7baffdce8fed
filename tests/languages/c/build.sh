#!/bin/sh
# Makes the component COMPONENT, and runs the test of the same sources without Wasm: `build.sh COMPONENT`.
set -eu
cd "$(dirname "$0")"
. ../need
need cmake "apt-get install cmake"
libraries="wasi-libc libclang-rt-19-dev-wasm32 libc++-19-dev-wasm32 libc++abi-19-dev-wasm32"
need clang-19 "apt-get install clang-19 lld-19 $libraries"
build=$tools/$(basename "$PWD")
cmake -S . -B "$build" -Dsandbar_DIR="$root/guest-sdk/c" -DSANDBAR_WRAP="$wrap" >/dev/null
cmake --build "$build" >/dev/null
ctest --test-dir "$build" --output-on-failure >/dev/null
cp "$build/every.wasm" "$1"
