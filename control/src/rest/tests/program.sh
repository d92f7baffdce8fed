#!/bin/sh
# Stands for the program in tests of the interface: checks a pipeline file, or runs until its folder is gone.
case "$1" in
check)
    if grep -q refuse pipeline.toml; then
        echo '{"error":{"what":"failed to read the file","why":"it says refuse","hint":"leave it out"}}' >&2
        exit 3
    fi
    ;;
run)
    echo '{"event":"started"}'
    echo 'a line of text'
    left=600
    while [ -e pipeline.toml ] && [ "$left" -gt 0 ]; do
        sleep 0.1
        left=$((left - 1))
    done
    ;;
esac
