#!/bin/sh
# Checks the types of every.ts, and makes its component COMPONENT: `build.sh COMPONENT`.
set -eu
cd "$(dirname "$0")"
. ../need
javascript_sdk
"$sdk/node_modules/.bin/tsc" -p .
node "$sdk/bin/sandbar-build.js" every.ts -o "$1"
