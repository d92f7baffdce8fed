#!/bin/sh
# Makes the component COMPONENT, and runs the tests of the same sources without Wasm: `build.sh COMPONENT`.
set -eu
cd "$(dirname "$0")"
. ../need
need go "install Go 1.26 or newer"
export GOFLAGS=-mod=mod GOPROXY=off
go test ./... >/dev/null
GOOS=wasip1 GOARCH=wasm go build -buildmode=c-shared -trimpath -ldflags='-s -w' -o "$tools/go.wasm" .
"$program" build "$tools/go.wasm" --to "$1" >/dev/null
