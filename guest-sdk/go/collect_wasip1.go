package sandbar

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"

	witRuntime "sandbar/internal/wit/runtime"
)

// Go's collector reads the clock, which is an import. It must not do so while the host writes into the memory of the
// plugin: no import may be called then, and the plugin would trap. So it never starts by itself; the SDK starts it
// behind calls of the host, when the memory in use has doubled.
const (
	// leastHeap is what is not worth collecting.
	leastHeap = 4 << 20
	// callsUnseen and bytesUnseen are how many calls, or bytes that passed in them, go by until the heap is looked at.
	callsUnseen = 16
	bytesUnseen = 256 << 10
)

var (
	heap   = []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	limit  = uint64(leastHeap)
	calls  int
	unseen int
)

func init() {
	debug.SetGCPercent(-1)
}

// passed counts what a call of the host took or brought, and collects if it was much.
func passed(bytes int) {
	unseen += bytes + 64
	if unseen > bytesUnseen {
		collectIfDoubled()
	}
}

// collect stands at the end of each call of the plugin.
func collect() {
	calls++
	if calls >= callsUnseen {
		collectIfDoubled()
	}
}

func collectIfDoubled() {
	calls, unseen = 0, 0
	metrics.Read(heap)
	if heap[0].Value.Uint64() < limit {
		return
	}
	// What the host wrote belongs to values by now; those that nobody holds may go.
	witRuntime.Unpin()
	runtime.GC()
	metrics.Read(heap)
	limit = max(leastHeap, 2*heap[0].Value.Uint64())
}
