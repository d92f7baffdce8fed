;; A whole plugin of world `record-processor`, written by hand, with places in braces that a test fills: what no SDK
;; lets its author say. Filled with nothing it drops every record and harms nobody.
(component
  {imports}
  (type $a (enum "value" "list-of" "map-of")) (export $kind "store-kind" (type $a))
  (type $b (record (field "name" string) (field "kind" $kind) (field "codec" string) (field "schema-version" u32)
    (field "readable-from" u32) (field "ttl" u64) (field "refresh-on-read" bool))) (export $store "store" (type $b))
  (type $c (enum "event-time" "processing-time")) (export $clock "timer-clock" (type $c))
  (type $d (record (field "name" string) (field "clock" $clock))) (export $timer "timer" (type $d))
  (type $e (enum "counter" "gauge")) (export $metric-kind "metric-kind" (type $e))
  (type $f (record (field "name" string) (field "kind" $metric-kind) (field "help" string)))
  (export $metric "metric" (type $f))
  (type $g (flags "coordinates" "headers" "keeps-key")) (export $needs "needs" (type $g))
  (type $h (record (field "name" string) (field "version" string) (field "inputs" (list string))
    (field "outputs" (list string)) (field "stores" (list $store)) (field "timers" (list $timer))
    (field "metrics" (list $metric)) (field "config-schema" string) (field "needs" $needs)))
  (export $description "description" (type $h))
  (type $i (enum "skip" "dead-letter" "fail")) (export $refusal "refusal" (type $i))
  (type $j (variant (case "retry" string) (case "fail" string))) (export $failure "failure" (type $j))
  (type $k (record (field "name" string) (field "value" (option (list u8))))) (export $header "header" (type $k))
  (type $l (record (field "input" u8) (field "key" (option (list u8))) (field "value" (option (list u8)))
    (field "timestamp" s64) (field "partition" u32) (field "offset" s64) (field "headers" (list $header))))
  (export $event "event" (type $l))
  (type $m (variant (case "done") (case "refuse" (tuple $refusal string)))) (export $verdict "verdict" (type $m))

  ;; The event's bytes lie from 4096 on, or wherever `realloc` says.
  {early}
  (core module $libc
    {libc}
    (memory (export "memory") 32)
    (table (export "table") 1 funcref)
    (func (export "realloc") (param $old i32) (param $had i32) (param $align i32) (param $wants i32) (result i32)
      {realloc}))
  (core instance $libc (instantiate $libc (with "host" (instance {libc-given}))))
  (alias core export $libc "memory" (core memory $memory))
  (alias core export $libc "realloc" (core func $realloc))
  {lowered}
  (core module $m
    (import "libc" "memory" (memory 32))
    (import "libc" "table" (table $table 1 funcref))
    {core}
    (func (export "describe") (result i32) {describe} i32.const 16)
    (func (export "open") (param i32 i32) (result i32) {open} i32.const 512)
    (func $process (export "process") (param i32 i32 i32 i32 i32 i32 i32 i64 i32 i64 i32 i32) (result i32)
      {process} i32.const 512)
    (func (export "fire") (param i32 i32 i32 i64) (result i32) i32.const 512)
    ;; Name, version, inputs, outputs, stores, timers, metrics, schema: each an address and a length.
    (data (i32.const 16) "\c8\00\00\00\01\00\00\00" "\c8\00\00\00\01\00\00\00" "\00\00\00\00\00\00\00\00"
      "\a0\00\00\00\01\00\00\00" "\00\00\00\00\00\00\00\00" "\00\00\00\00\00\00\00\00" "\00\00\00\00\00\00\00\00"
      "\00\00\00\00\00\00\00\00")
    ;; The one output has the name of the plugin.
    (data (i32.const 160) "\c8\00\00\00\01\00\00\00")
    (data (i32.const 200) "p")
    {data})
  (core instance $i (instantiate $m
    (with "libc" (instance $libc))
    (with "host" (instance {given}))))
  (func (export "describe") (result $description) (canon lift (core func $i "describe") (memory $memory) {encoding}))
  (func (export "open") (param "config" string) (result (result (error string)))
    (canon lift (core func $i "open") (memory $memory) (realloc $realloc)))
  (func (export "process") (param "event" $event) (result (result $verdict (error $failure)))
    (canon lift (core func $i "process") (memory $memory) (realloc $realloc)))
  (func (export "fire") (param "timer" u8) (param "key" (list u8)) (param "at" s64) (result (result (error $failure)))
    (canon lift (core func $i "fire") (memory $memory) (realloc $realloc)))
  {exports})
