#!/bin/sh
# Makes the component COMPONENT of every.js: `build.sh COMPONENT`.
set -eu
cd "$(dirname "$0")"
. ../need
javascript_sdk
node "$sdk/bin/sandbar-build.js" every.js -o "$1"
