#!/bin/sh
# Makes the component COMPONENT of app.py: `build.sh COMPONENT`.
set -eu
cd "$(dirname "$0")"
. ../need
need python3 "install Python 3.11 or newer, with venv"
python=$tools/python/bin/python
[ -x "$python" ] || python3 -m venv "$tools/python"
"$python" -c 'import componentize_py' 2>/dev/null || "$python" -m pip install -q componentize-py==0.25.1 pytest==9.2.0
PYTHONPATH=$root/guest-sdk/python "$python" -m sandbar_sdk app.py -o "$1"
