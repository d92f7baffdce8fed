package sandbar

import "reflect"

// Fired is a timer that fired.
type Fired struct {
	// Key is the key for which it was set.
	Key []byte
	// At is the time to which it was set, in milliseconds since 1970.
	At int64
}

// Callback is what happens when a timer fires. [Retry] lets it come again; any other error stops the pipeline.
type Callback func(fired *Fired, out *Out) error

// EventTimer is a timer of event time. It fires when event time reaches it: behind the record that moved time there
// and before the next one, in the order of time, name and key.
//
// It is set for the key of the record, to any number of times at once, and kept with the state. Name, key and time are
// what it is: setting it twice is setting it once. The name is that of the field, as with a [Value].
type EventTimer struct{ timer }

// OnFire says what happens when it fires. Call it in Open.
func (t *EventTimer) OnFire(callback Callback) { t.callback = callback }

// Set sets it to a time, in milliseconds since 1970. If it is due already, it fires right behind this call.
func (t *EventTimer) Set(at int64) { t.instance.host.SetTimer(t.index, at) }

// Clear takes it away if it is set to this time.
func (t *EventTimer) Clear(at int64) { t.instance.host.ClearTimer(t.index, at) }

// Now is event time, in milliseconds since 1970: no older record is expected. While nothing is known, it is
// [math.MinInt64].
func (t *EventTimer) Now() int64 { return t.instance.host.Watermark() }

func (t *EventTimer) declare(instance *Instance, name string, _ reflect.StructTag) error {
	return t.add(instance, &t.timer, TimerName{name, false})
}

// ProcessingTimer is a timer of the host's clock.
type ProcessingTimer struct{ timer }

// OnFire says what happens when it fires. Call it in Open.
func (t *ProcessingTimer) OnFire(callback Callback) { t.callback = callback }

// Set sets it to a time, in milliseconds since 1970.
func (t *ProcessingTimer) Set(at int64) { t.instance.host.SetTimer(t.index, at) }

// Clear takes it away if it is set to this time.
func (t *ProcessingTimer) Clear(at int64) { t.instance.host.ClearTimer(t.index, at) }

// Now is the host's clock, in milliseconds since 1970.
func (t *ProcessingTimer) Now() int64 { return t.instance.host.ProcessingTime() }

func (t *ProcessingTimer) declare(instance *Instance, name string, _ reflect.StructTag) error {
	return t.add(instance, &t.timer, TimerName{name, true})
}

// timer is what both kinds have.
type timer struct {
	declared
	callback Callback
}

func (t *timer) add(instance *Instance, timer *timer, name TimerName) error {
	t.declared = declared{instance, uint8(len(instance.timers)), name.Name}
	instance.timers = append(instance.timers, timer)
	instance.description.Timers = append(instance.description.Timers, name)
	return nil
}
