//go:build wasip1

// From go.bytecodealliance.org/pkg, as wit-bindgen-go 0.63.0 has it; see LICENSE.

package wit_types

type Unit struct{}
