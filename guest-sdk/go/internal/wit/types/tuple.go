//go:build wasip1

// From go.bytecodealliance.org/pkg, as wit-bindgen-go 0.63.0 has it; see LICENSE. The longer tuples are left out.

package wit_types

type Tuple2[T0 any, T1 any] struct {
	F0 T0
	F1 T1
}
