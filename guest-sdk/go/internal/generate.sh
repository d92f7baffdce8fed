#!/bin/sh
# Makes internal/bindings anew: `internal/generate.sh FOLDER`, where FOLDER is what
# `wit-bindgen go WIT --world record-processor --pkg-name sandbar/internal/bindings --out-dir FOLDER` (0.63.0) wrote.
# The bindings are for Wasm only, and use the runtime beside them, so that nothing has to be fetched.
set -eu
cd "$(dirname "$0")/bindings"
rm -rf imports exports/wit_exports
for part in imports exports/wit_exports; do
    (cd "$1/$part" && find . -name '*.go') | while read -r file; do
        mkdir -p "$(dirname "$part/$file")"
        { printf '//go:build wasip1\n\n'; cat "$1/$part/$file"; } |
            sed 's|go.bytecodealliance.org/pkg/wit/|sandbar/internal/wit/|' > "$part/$file"
    done
done
gofmt -w .
