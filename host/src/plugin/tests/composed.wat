;; A component that is composed of two, each with a memory of its own: text goes from one to the other. `wat2wasm` of the
;; wasmtime package for Python made composed.wasm of it.
(component
  (component $inner
    (core module $m
      (memory (export "memory") 1)
      (func (export "realloc") (param i32 i32 i32 i32) (result i32) i32.const 0)
      (func (export "take") (param i32 i32)))
    (core instance $i (instantiate $m))
    (func (export "take") (param "text" string)
      (canon lift (core func $i "take") (memory $i "memory") (realloc (func $i "realloc")))))
  (instance $inner (instantiate $inner))
  (component $outer
    (import "take" (func $take (param "text" string)))
    (core module $libc (memory (export "memory") 1))
    (core instance $libc (instantiate $libc))
    (core func $lowered (canon lower (func $take) (memory $libc "memory")))
    (core module $m
      (import "" "take" (func $take (param i32 i32)))
      (func (export "call") i32.const 0 i32.const 0 call $take))
    (core instance $i (instantiate $m (with "" (instance (export "take" (func $lowered))))))
    (func (export "call") (canon lift (core func $i "call"))))
  (instance $outer (instantiate $outer (with "take" (func $inner "take"))))
  (export "describe" (func $outer "call"))
  (export "open" (func $outer "call"))
  (export "process" (func $outer "call")))
