package sandbar

import (
	"encoding/json"
	"fmt"
	"iter"
	"reflect"
)

// page is how many entries of a map are asked for at once.
const page = 1000

// Value keeps one value for each key, in JSON.
//
// A field of a plugin is the store of its name in lower case, with hyphens; the tag `sandbar:"other-name"` gives it
// another. The tags `version:"2"` and `readable-from:"1"` say what the stored bytes mean, and which is the oldest
// version that the type reads too. This holds for a [List] and a [Map] as well.
//
// State is that of the key of the record, or of the timer that fired. A record without a key has none: it becomes a
// dead letter. If a value cannot be written or read as JSON, the call ends there: the record becomes a dead letter.
type Value[T any] struct{ store }

// Get returns the value, and whether there is one.
func (v *Value[T]) Get() (T, bool) {
	return read[T](&v.store, v.instance.host.Get(v.index))
}

// Set keeps a value.
func (v *Value[T]) Set(value T) {
	v.instance.host.Put(v.index, marshal(value))
}

// Delete takes the value away.
func (v *Value[T]) Delete() {
	v.instance.host.Delete(v.index)
}

func (v *Value[T]) declare(instance *Instance, name string, tag reflect.StructTag) error {
	return v.add(instance, KindValue, name, tag)
}

// List keeps a list for each key, in the order in which its items were pushed.
type List[T any] struct{ store }

// Items returns all items.
func (l *List[T]) Items() []T {
	stored := l.instance.host.Items(l.index)
	items := make([]T, len(stored))
	for i, item := range stored {
		items[i], _ = read[T](&l.store, item)
	}
	return items
}

// Push puts an item behind the others.
func (l *List[T]) Push(item T) {
	l.instance.host.Append(l.index, marshal(item))
}

// Clear takes all items away.
func (l *List[T]) Clear() {
	l.instance.host.Clear(l.index)
}

func (l *List[T]) declare(instance *Instance, name string, tag reflect.StructTag) error {
	return l.add(instance, KindList, name, tag)
}

// Map keeps a map for each key, whose own keys are text.
type Map[T any] struct{ store }

// Get returns an entry's value, and whether there is one.
func (m *Map[T]) Get(key string) (T, bool) {
	return read[T](&m.store, m.instance.host.GetEntry(m.index, []byte(key)))
}

// Put keeps an entry.
func (m *Map[T]) Put(key string, value T) {
	m.instance.host.PutEntry(m.index, []byte(key), marshal(value))
}

// Delete takes an entry away.
func (m *Map[T]) Delete(key string) {
	m.instance.host.DeleteEntry(m.index, []byte(key))
}

// Scan goes through the entries whose keys begin with a prefix, in the order of the bytes of their keys.
func (m *Map[T]) Scan(prefix string) iter.Seq2[string, T] {
	return func(yield func(string, T) bool) {
		var after []byte
		for {
			entries := m.instance.host.Scan(m.index, []byte(prefix), after, page)
			if len(entries) == 0 {
				return
			}
			for _, entry := range entries {
				value, _ := read[T](&m.store, entry.Value)
				if !yield(string(entry.Key), value) {
					return
				}
			}
			after = entries[len(entries)-1].Key
		}
	}
}

// Clear takes all entries away.
func (m *Map[T]) Clear() {
	m.instance.host.Clear(m.index)
}

func (m *Map[T]) declare(instance *Instance, name string, tag reflect.StructTag) error {
	return m.add(instance, KindMap, name, tag)
}

// store is what all stores have.
type store struct{ declared }

func (s *store) add(instance *Instance, kind Kind, name string, tag reflect.StructTag) error {
	version, err := number(tag, "version")
	if err != nil {
		return err
	}
	from, err := number(tag, "readable-from")
	if _, is := tag.Lookup("readable-from"); !is {
		from = version
	}
	stores := &instance.description.Stores
	s.declared = declared{instance, uint8(len(*stores)), name}
	*stores = append(*stores, Store{name, kind, version, from})
	return err
}

// read reads what was stored; nil is nothing.
func read[T any](store *store, stored []byte) (value T, is bool) {
	if stored == nil {
		return value, false
	}
	if err := json.Unmarshal(stored, &value); err != nil {
		panic(&Refusal{HowDeadLetter, fmt.Sprintf("store %q: %v", store.name, err)})
	}
	return value, true
}

// declared is a field that declares something, in its instance.
type declared struct {
	instance *Instance
	index    uint8
	name     string
}

// UnmarshalJSON refuses a configuration that has something of this name: the field is none of it.
func (d *declared) UnmarshalJSON([]byte) error {
	return fmt.Errorf("json: unknown field %q", d.name)
}
