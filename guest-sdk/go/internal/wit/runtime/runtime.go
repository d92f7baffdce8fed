//go:build wasip1

// From go.bytecodealliance.org/pkg, as wit-bindgen-go 0.63.0 has it; see LICENSE. Changed: what is asked for before Go
// runs comes out of an array and not from `runtime.sbrk`, so that no linker flag is needed. Handles are left out.

package runtime

import (
	"fmt"
	"runtime"
	"unsafe"
)

func Allocate(pinner *runtime.Pinner, size, align uintptr) unsafe.Pointer {
	pointer := allocateRaw(size, align)
	pinner.Pin(pointer)
	return pointer
}

func allocateRaw(size, align uintptr) unsafe.Pointer {
	if size == 0 {
		return nil
	}

	if size%align != 0 {
		panic(fmt.Sprintf("size %v is not compatible with alignment %v", size, align))
	}

	switch align {
	case 1:
		return unsafe.Pointer(unsafe.SliceData(make([]uint8, size)))
	case 2:
		return unsafe.Pointer(unsafe.SliceData(make([]uint16, size/align)))
	case 4:
		return unsafe.Pointer(unsafe.SliceData(make([]uint32, size/align)))
	case 8:
		return unsafe.Pointer(unsafe.SliceData(make([]uint64, size/align)))
	default:
		panic(fmt.Sprintf("unsupported alignment: %v", align))
	}
}

// What the adapter asks for while Go starts: its state and its stack, of a page of 64 KiB each.
var early [192 << 10]byte
var earlyUsed uintptr

var useGCAllocations = false

func init() {
	useGCAllocations = true
}

func allocateEarly(size, align uintptr) unsafe.Pointer {
	base := uintptr(unsafe.Pointer(&early))
	start := (base+earlyUsed+align-1)&^(align-1) - base
	if start+size > uintptr(len(early)) {
		return nil
	}
	earlyUsed = start + size
	return unsafe.Pointer(&early[start])
}

var pinner = runtime.Pinner{}

// Unpin lets go of what `cabi_realloc` has given out.
func Unpin() {
	pinner.Unpin()
}

//go:wasmimport wasi_snapshot_preview1 adapter_monotonic_clock_set_paused
func adapterMonotonicClockSetPaused(paused bool)

//go:wasmexport cabi_realloc
func cabiRealloc(oldPointer unsafe.Pointer, oldSize, align, newSize uintptr) unsafe.Pointer {
	if oldPointer != nil || oldSize != 0 {
		panic("todo")
	}

	if !useGCAllocations {
		return allocateEarly(newSize, align)
	}
	// The clock may not be read in here, since no import may be called; the adapter gives a time it remembers. The
	// collector, which reads more than that, is kept away by package sandbar.
	adapterMonotonicClockSetPaused(true)
	pointer := Allocate(&pinner, newSize, align)
	adapterMonotonicClockSetPaused(false)
	return pointer
}
