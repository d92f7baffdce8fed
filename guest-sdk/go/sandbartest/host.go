// Package sandbartest runs a plugin in an ordinary Go test, without Wasm and without Kafka.
package sandbartest

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"testing"

	"sandbar"
)

// Host runs a plugin, as one task does: it keeps its state and its timers, and collects what comes out. Each of its
// methods that brings something calls the plugin at once.
type Host struct {
	instance    *sandbar.Instance
	description sandbar.Description
	kept        kept
	watermark   int64
	clock       int64
	records     int
	calls       uint64
	outputs     []Output
	refused     []Refused
	metrics     map[string]float64
	call        call
}

// Output is what a plugin put out.
type Output = sandbar.Message

// Refused is a call that came to nothing.
type Refused struct {
	// Record is the number of the record, from 0; -1 if a timer fired.
	Record int
	How    sandbar.How
	Reason string
}

// Timer is a timer that is set.
type Timer struct {
	Name, Key string
	At        int64
}

// New opens a plugin, a pointer to a new struct, with a configuration: a text in JSON; an empty text is none.
func New(plugin sandbar.Processor, config string) (*Host, error) {
	host := &Host{kept: newKept(), watermark: math.MinInt64, metrics: map[string]float64{}}
	return host, host.Restart(plugin, config)
}

// Open is New in a test, which ends if the plugin refuses the configuration.
func Open(t testing.TB, plugin sandbar.Processor, config string) *Host {
	t.Helper()
	host, err := New(plugin, config)
	if err != nil {
		t.Fatal(err)
	}
	return host
}

// Restart puts a new plugin in the place of the old one. State, timers and time stay: whatever else the old one had
// remembered is gone.
func (h *Host) Restart(plugin sandbar.Processor, config string) error {
	h.instance = sandbar.Bind(plugin, h)
	h.description = h.instance.Description()
	return h.instance.Open(config)
}

// Push brings a record without headers. Key and value are nil, a string or bytes.
func (h *Host) Push(key, value any, timestamp int64) {
	h.PushEvent(sandbar.Event{Key: raw(key), Value: raw(value), Timestamp: timestamp})
}

// PushEvent brings a record. Input is the name of a declared input; empty, it is the first.
func (h *Host) PushEvent(event sandbar.Event) {
	input := max(0, slices.Index(h.description.Inputs, event.Input))
	if !h.description.Headers {
		event.Headers = nil
	}
	number := h.records
	h.records++
	h.begin(event.Key)
	refusal := h.instance.Process(&event, uint8(input))
	if refusal == nil && event.Key == nil && h.call.usesKey {
		refusal = &sandbar.Refusal{How: sandbar.HowDeadLetter, Reason: "the record has no key"}
	}
	h.end(number, refusal)
	h.fireDue()
}

// Advance moves event time; back it never moves. The timers that are due fire.
func (h *Host) Advance(watermark int64) {
	h.watermark = max(h.watermark, watermark)
	h.fireDue()
}

// Clock moves the host's clock. The timers that are due fire.
func (h *Host) Clock(now int64) {
	h.clock = now
	h.fireDue()
}

// Key makes a key the one whose state the plugin's fields read and write, outside of a call: a test can look there.
func (h *Host) Key(key string) {
	h.begin([]byte(key))
}

// Outputs returns what came out since this was asked last.
func (h *Host) Outputs() []Output {
	outputs := h.outputs
	h.outputs = nil
	return outputs
}

// Lines returns what came out since this was asked last, each as its key, a space and its value.
func (h *Host) Lines() []string {
	var lines []string
	for _, output := range h.Outputs() {
		lines = append(lines, text(output.Key)+" "+text(output.Value))
	}
	return lines
}

// Refused returns what was refused since this was asked last.
func (h *Host) Refused() []Refused {
	refused := h.refused
	h.refused = nil
	return refused
}

// Timers returns the timers that are set, in the order in which they would fire: those of event time first.
func (h *Host) Timers() []Timer {
	return slices.SortedFunc(maps.Keys(h.kept.timers), h.compare)
}

// Metric returns the sum of a counter, or what a gauge is now.
func (h *Host) Metric(name string) float64 {
	return h.metrics[name]
}

// fireDue lets timers fire until none is due, or until one fails: that one stays.
func (h *Host) fireDue() {
	for {
		due := slices.Collect(maps.Keys(h.kept.timers))
		due = slices.DeleteFunc(due, func(timer Timer) bool { return !h.isDue(timer) })
		if len(due) == 0 {
			return
		}
		timer := slices.MinFunc(due, h.compare)
		h.begin([]byte(timer.Key))
		remember(h, h.kept.timers, timer)
		delete(h.kept.timers, timer)
		refusal := h.instance.Fire(h.indexOf(timer), h.call.key, timer.At)
		h.end(-1, refusal)
		if refusal != nil {
			return
		}
	}
}

func (h *Host) isDue(timer Timer) bool {
	if h.isOnClock(timer) {
		return timer.At <= h.clock
	}
	return timer.At <= h.watermark
}

func (h *Host) compare(a, b Timer) int {
	if onClock := h.isOnClock(a); onClock != h.isOnClock(b) {
		return map[bool]int{false: -1, true: 1}[onClock]
	}
	return cmp.Or(cmp.Compare(a.At, b.At), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Key, b.Key))
}

func (h *Host) isOnClock(timer Timer) bool {
	return h.description.Timers[h.indexOf(timer)].OnClock
}

func (h *Host) indexOf(timer Timer) uint8 {
	named := func(is sandbar.TimerName) bool { return is.Name == timer.Name }
	return uint8(slices.IndexFunc(h.description.Timers, named))
}

// call is what the host knows of a call that is going on, or of a look into the state.
type call struct {
	isOpen  bool
	key     []byte
	usesKey bool
	outputs []Output
	// undo takes back what was changed, the last first.
	undo []func()
}

func (h *Host) begin(key []byte) {
	h.calls++
	h.call = call{key: key, isOpen: true}
}

// end keeps what the call put out and changed, or takes it back if it was refused.
func (h *Host) end(record int, refusal *sandbar.Refusal) {
	if refusal == nil {
		h.outputs = append(h.outputs, h.call.outputs...)
	} else {
		h.refused = append(h.refused, Refused{record, refusal.How, refusal.Reason})
		for _, undo := range slices.Backward(h.call.undo) {
			undo()
		}
	}
	h.call = call{}
}

func raw(value any) []byte {
	switch value := value.(type) {
	case nil:
		return nil
	case []byte:
		return bytes.Clone(value)
	case string:
		return []byte(value)
	}
	panic(fmt.Sprintf("a key or a value is nil, a string or bytes, and not %T", value))
}

func text(bytes []byte) string {
	if bytes == nil {
		return "null"
	}
	return string(bytes)
}
