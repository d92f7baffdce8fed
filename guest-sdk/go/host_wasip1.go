package sandbar

import (
	"sandbar/internal/bindings/imports/sandbar_plugin_chance"
	"sandbar/internal/bindings/imports/sandbar_plugin_log"
	"sandbar/internal/bindings/imports/sandbar_plugin_output"
	"sandbar/internal/bindings/imports/sandbar_plugin_state"
	"sandbar/internal/bindings/imports/sandbar_plugin_timers"
	witTypes "sandbar/internal/wit/types"
)

// wasm is Sandbar itself, by its imports.
type wasm struct{}

func (wasm) Get(store uint8) []byte { return taken(sandbar_plugin_state.Get(store)) }

func (wasm) Put(store uint8, value []byte) {
	sandbar_plugin_state.Put(store, value)
	passed(len(value))
}

func (wasm) Delete(store uint8) { sandbar_plugin_state.Delete(store) }

func (wasm) Append(store uint8, item []byte) {
	sandbar_plugin_state.Append(store, item)
	passed(len(item))
}

func (wasm) Items(store uint8) [][]byte {
	items := sandbar_plugin_state.Items(store)
	for i, item := range items {
		items[i] = present(item)
		passed(len(item))
	}
	return items
}

func (wasm) GetEntry(store uint8, key []byte) []byte {
	return taken(sandbar_plugin_state.GetEntry(store, key))
}

func (wasm) PutEntry(store uint8, key, value []byte) {
	sandbar_plugin_state.PutEntry(store, key, value)
	passed(len(value))
}

func (wasm) DeleteEntry(store uint8, key []byte) { sandbar_plugin_state.DeleteEntry(store, key) }

func (wasm) Scan(store uint8, prefix, after []byte, limit uint32) []Entry {
	found := sandbar_plugin_state.Scan(store, prefix, option(after), limit)
	entries := make([]Entry, len(found))
	for i, entry := range found {
		entries[i] = Entry{present(entry.F0), present(entry.F1)}
		passed(len(entry.F1))
	}
	return entries
}

func (wasm) Clear(store uint8) { sandbar_plugin_state.Clear(store) }

func (wasm) SetTimer(timer uint8, at int64) { sandbar_plugin_timers.Set(timer, at) }

func (wasm) ClearTimer(timer uint8, at int64) { sandbar_plugin_timers.Clear(timer, at) }

func (wasm) Watermark() int64 { return sandbar_plugin_timers.Watermark() }

func (wasm) ProcessingTime() int64 { return sandbar_plugin_timers.ProcessingTime() }

func (wasm) Seed() uint64 { return sandbar_plugin_chance.Seed() }

func (wasm) Emit(output uint8, message Message) {
	headers := make([]sandbar_plugin_output.Header, len(message.Headers))
	for i, header := range message.Headers {
		headers[i] = sandbar_plugin_output.Header{Name: header.Name, Value: option(header.Value)}
	}
	sandbar_plugin_output.Emit(sandbar_plugin_output.Message{
		Output:    output,
		Key:       option(message.Key),
		Value:     option(message.Value),
		Timestamp: witTypes.Some(message.Timestamp),
		Headers:   headers,
	})
	passed(len(message.Value))
}

func (wasm) Measure(metric uint8, value float64) { sandbar_plugin_output.Measure(metric, value) }

func write(level uint8, text string) {
	sandbar_plugin_log.Write(level, text)
	passed(len(text))
}

// option is absent if the bytes are nil.
func option(bytes []byte) witTypes.Option[[]byte] {
	if bytes == nil {
		return witTypes.None[[]byte]()
	}
	return witTypes.Some(bytes)
}

// taken is what came from the host: nil if the option is absent, and only then.
func taken(option witTypes.Option[[]byte]) []byte {
	if option.IsNone() {
		return nil
	}
	passed(len(option.Some()))
	return present(option.Some())
}

// present is not nil.
func present(bytes []byte) []byte {
	if bytes == nil {
		return []byte{}
	}
	return bytes
}
