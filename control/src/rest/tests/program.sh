#!/bin/sh
# Stands for the program in tests of the interface: checks a pipeline file, runs until its folder is gone, or says of a
# pipeline what the tests expect. The words of a look are left in `words`, its process in `look`.
case "$1" in
check)
    if grep -q refuse pipeline.toml; then
        echo '{"error":{"what":"failed to read the file","why":"it says refuse","hint":"leave it out"}}' >&2
        exit 3
    fi
    exit
    ;;
run)
    trap 'echo > term; exit' TERM
    echo '{"event":"started"}'
    echo 'a line of text'
    left=600
    while [ -e pipeline.toml ] && [ "$left" -gt 0 ]; do
        sleep 0.1
        left=$((left - 1))
    done
    exit
    ;;
esac

printf '%s\0' "$@" > words
echo $$ > look
fails() {
    echo "{\"error\":{\"what\":\"failed to look\",\"why\":\"$2\",\"hint\":null}}" >&2
    exit "$1"
}
case "$1 $2" in
"offsets show")
    at='"origin":"ours","begin":2,"watermark":null,"idle":null'
    echo "[{\"source\":\"in\",\"topic\":\"views\",\"partition\":0,\"committed\":7,\"end\":9,\"lag\":2,$at},"
    echo "{\"source\":\"in\",\"topic\":\"views\",\"partition\":1,\"committed\":null,\"end\":4,\"lag\":null,$at}]"
    ;;
"offsets set")
    cat asked/content.json > content 2>/dev/null
    echo '[]'
    ;;
"checkpoint list") echo '[{"checkpoint":"c1","bytes":3}]' ;;
"savepoint list")
    grep -q 'no checkpoints' asked.toml && fails 3 'its file has no [checkpoint]'
    echo '[{"savepoint":"there","tasks":[]}]'
    ;;
"savepoint create") echo '{"savepoint":"made","tasks":[]}' ;;
"savepoint delete")
    case "$*" in *"-- asked.toml there") echo '{"deleted":"there"}' ;; *) fails 6 'there is none' ;; esac
    ;;
"state get" | "state scan" | "state count" | "state timers")
    case "$*" in
    *slow*) exec sleep 90 ;;
    *stubborn*)
        here=$PWD
        while :; do
            mkdir -p "$here"
            sleep 0.02
        done
        ;;
    *long*) head -c 9000000 /dev/zero | tr '\0' x ;;
    *loud*)
        head -c 9000000 /dev/zero | tr '\0' x >&2
        echo '[1]'
        ;;
    *nothing*) fails 1 'nothing is under the key' ;;
    *usage*) fails 2 'there is no such store' ;;
    *kafka*) fails 5 'no broker answers' ;;
    *killed*) kill -9 $$ ;;
    *text*) echo 'no JSON' ;;
    *object*) echo '{}' ;;
    *) echo '[{"key":"a","value":1}]' ;;
    esac
    ;;
"dead-letters list")
    echo '[{"partition":0,"offset":17,"reason":"r","key":"secret","value-base64":"secret","headers":["secret"]}]'
    ;;
"dead-letters show")
    case "$*" in
    *" 0/17") echo '{"partition":0,"offset":17,"key":"content"}' ;;
    *) fails 2 'found no dead letter there' ;;
    esac
    ;;
"dead-letters replay")
    echo '{"partition":0,"offset":17,"replayed":true}'
    echo '{"partition":0,"offset":18,"replayed":false,"why":"gone"}'
    fails 1 '1 of 2 were not replayed'
    ;;
"doctor --granted") echo '{"ok":true,"found":[]}' ;;
*) fails 2 'no such verb' ;;
esac
