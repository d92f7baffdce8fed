package sandbartest

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"

	"sandbar"
)

// The host's limits, in bytes.
const (
	mostKey   = 4 << 10
	mostValue = 1 << 20
)

// place is where a store keeps what it has for a key. Nothing is ever kept where there is no key.
type place struct {
	store uint8
	key   string
	isKey bool
}

// kept is what outlasts a call.
type kept struct {
	values map[place][]byte
	lists  map[place][][]byte
	maps   map[place]map[string][]byte
	timers map[Timer]bool
}

func newKept() kept {
	return kept{map[place][]byte{}, map[place][][]byte{}, map[place]map[string][]byte{}, map[Timer]bool{}}
}

// remember lets the call be undone: what is in a map, or that nothing is.
func remember[K comparable, V any](h *Host, in map[K]V, key K) {
	value, is := in[key]
	h.call.undo = append(h.call.undo, func() {
		if is {
			in[key] = value
		} else {
			delete(in, key)
		}
	})
}

func (h *Host) place(store uint8, kinds ...sandbar.Kind) place {
	h.use()
	if said := h.description.Stores[store]; !slices.Contains(kinds, said.Kind) {
		panic(fmt.Sprintf("store %q is of another kind", said.Name))
	}
	return place{store, string(h.call.key), h.call.key != nil}
}

// use says that the call uses its key.
func (h *Host) use() {
	if !h.call.isOpen {
		panic("there is no key outside of a call: Host.Key says which to look at")
	}
	h.call.usesKey = true
	limited("key", h.call.key, mostKey)
}

// Get implements [sandbar.Host], as do the methods below. They are for the plugin, not for tests.
func (h *Host) Get(store uint8) []byte {
	return h.kept.values[h.place(store, sandbar.KindValue)]
}

// Put keeps a value.
func (h *Host) Put(store uint8, value []byte) {
	if at := h.place(store, sandbar.KindValue); at.isKey {
		remember(h, h.kept.values, at)
		h.kept.values[at] = limited("value", value, mostValue)
	}
}

// Delete takes a value away.
func (h *Host) Delete(store uint8) {
	at := h.place(store, sandbar.KindValue)
	remember(h, h.kept.values, at)
	delete(h.kept.values, at)
}

// Append puts an item behind those of a list.
func (h *Host) Append(store uint8, item []byte) {
	if at := h.place(store, sandbar.KindList); at.isKey {
		remember(h, h.kept.lists, at)
		h.kept.lists[at] = append(h.kept.lists[at], limited("value", item, mostValue))
	}
}

// Items returns the items of a list.
func (h *Host) Items(store uint8) [][]byte {
	return slices.Clone(h.kept.lists[h.place(store, sandbar.KindList)])
}

// GetEntry returns an entry's value.
func (h *Host) GetEntry(store uint8, key []byte) []byte {
	return h.kept.maps[h.place(store, sandbar.KindMap)][string(limited("user key", key, mostKey))]
}

// PutEntry keeps an entry.
func (h *Host) PutEntry(store uint8, key, value []byte) {
	if at := h.place(store, sandbar.KindMap); at.isKey {
		if h.kept.maps[at] == nil {
			h.kept.maps[at] = map[string][]byte{}
		}
		remember(h, h.kept.maps[at], string(key))
		h.kept.maps[at][string(limited("user key", key, mostKey))] = limited("value", value, mostValue)
	}
}

// DeleteEntry takes an entry away.
func (h *Host) DeleteEntry(store uint8, key []byte) {
	if entries := h.kept.maps[h.place(store, sandbar.KindMap)]; entries != nil {
		remember(h, entries, string(limited("user key", key, mostKey)))
		delete(entries, string(key))
	}
}

// Scan returns entries of a map, in the order of keys.
func (h *Host) Scan(store uint8, prefix, after []byte, limit uint32) []sandbar.Entry {
	entries := h.kept.maps[h.place(store, sandbar.KindMap)]
	var found []sandbar.Entry
	for _, key := range slices.Sorted(maps.Keys(entries)) {
		isAfter := after == nil || key > string(after)
		if isAfter && strings.HasPrefix(key, string(prefix)) && len(found) < int(limit) {
			found = append(found, sandbar.Entry{Key: []byte(key), Value: entries[key]})
		}
	}
	return found
}

// Clear takes all items of a list, or all entries of a map, away.
func (h *Host) Clear(store uint8) {
	at := h.place(store, sandbar.KindList, sandbar.KindMap)
	remember(h, h.kept.lists, at)
	remember(h, h.kept.maps, at)
	delete(h.kept.lists, at)
	delete(h.kept.maps, at)
}

// SetTimer sets a timer.
func (h *Host) SetTimer(timer uint8, at int64) {
	h.use()
	if set := h.timer(timer, at); h.call.key != nil {
		remember(h, h.kept.timers, set)
		h.kept.timers[set] = true
	}
}

// ClearTimer takes a timer away.
func (h *Host) ClearTimer(timer uint8, at int64) {
	h.use()
	if set := h.timer(timer, at); h.call.key != nil {
		remember(h, h.kept.timers, set)
		delete(h.kept.timers, set)
	}
}

func (h *Host) timer(timer uint8, at int64) Timer {
	return Timer{h.description.Timers[timer].Name, string(h.call.key), at}
}

// Watermark is event time.
func (h *Host) Watermark() int64 {
	return h.watermark
}

// ProcessingTime is the host's clock.
func (h *Host) ProcessingTime() int64 {
	return h.clock
}

// Seed is the number of the call: not much of a chance, but another one each time.
func (h *Host) Seed() uint64 {
	return h.calls
}

// Emit takes an output.
func (h *Host) Emit(_ uint8, message sandbar.Message) {
	message.Key, message.Value = bytes.Clone(message.Key), bytes.Clone(message.Value)
	h.call.outputs = append(h.call.outputs, message)
}

// Measure takes what a metric is told.
func (h *Host) Measure(metric uint8, value float64) {
	said := h.description.Metrics[metric]
	if said.IsGauge {
		h.metrics[said.Name] = value
	} else {
		h.metrics[said.Name] += value
	}
}

// limited panics as the host would trap.
func limited(what string, bytes []byte, most int) []byte {
	if len(bytes) > most {
		panic(fmt.Sprintf("the %s has %d bytes, and at most %d are kept", what, len(bytes), most))
	}
	return bytes
}
