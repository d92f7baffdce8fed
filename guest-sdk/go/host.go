package sandbar

// Host is what a plugin runs in: Sandbar itself, or package sandbartest. An author has no use for it.
//
// Stores, timers, outputs and metrics are named by their index in the [Description]. State is that of the key of the
// call. Bytes are nil if there are none.
type Host interface {
	Get(store uint8) []byte
	Put(store uint8, value []byte)
	// Delete takes a value away.
	Delete(store uint8)
	// Append puts an item behind those of a list.
	Append(store uint8, item []byte)
	Items(store uint8) [][]byte
	GetEntry(store uint8, key []byte) []byte
	PutEntry(store uint8, key, value []byte)
	DeleteEntry(store uint8, key []byte)
	// Scan returns entries of a map, in the order of keys, from behind `after`; none if there are no more.
	Scan(store uint8, prefix, after []byte, limit uint32) []Entry
	// Clear takes all items of a list, or all entries of a map, away.
	Clear(store uint8)

	SetTimer(timer uint8, at int64)
	ClearTimer(timer uint8, at int64)
	Watermark() int64
	ProcessingTime() int64
	// Seed is for what needs chance: the same in a replay.
	Seed() uint64

	Emit(output uint8, message Message)
	Measure(metric uint8, value float64)
}

// Entry is an entry of a map.
type Entry struct {
	Key, Value []byte
}
