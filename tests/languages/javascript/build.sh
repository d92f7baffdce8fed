#!/bin/sh
# Makes the component COMPONENT of every.js: `build.sh COMPONENT`.
set -eu
cd "$(dirname "$0")"
. ../need
need npm "install Node.js 20 or newer"
sdk=$root/guest-sdk/javascript
[ -d "$sdk/node_modules" ] || npm ci --silent --prefix "$sdk"
node "$sdk/bin/sandbar-build.js" every.js -o "$1"
