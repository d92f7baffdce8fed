#!/bin/sh
# Makes the component COMPONENT, and runs the test of the same sources without Wasm: `build.sh COMPONENT`.
set -eu
cd "$(dirname "$0")"
. ../need
build_by_cmake "$1"
