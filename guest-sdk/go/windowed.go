package sandbar

import (
	"cmp"
	"errors"
	"reflect"
	"slices"
)

// Windowed keeps the open windows of each key, and of each window one T: what its records come to. It begins as the
// zero value of T, and is kept as JSON. A field of a plugin, it is a store and a timer of event time, both of its name,
// as with a [Value].
type Windowed[T any] struct {
	store
	timer   EventTimer
	windows Windows
	fold    func(soFar T, event *Event) (T, error)
	merge   func(earlier, later T) T
	onClose func(window *Window[T], out *Out) error
}

// Window is a window that is over.
type Window[T any] struct {
	Key []byte
	// Start is its first moment, End the one behind its last, in milliseconds since 1970.
	Start, End int64
	// Value is what its records come to.
	Value T
}

// Open says which windows there are, what becomes of a T by a record, and what happens when a window is over: when
// event time has reached its last moment, which is the timestamp of what `onClose` emits. It happens again for each
// record that comes within the allowed lateness. Call it in the plugin's Open; an error says why there can be no such
// windows.
func (w *Windowed[T]) Open(
	windows Windows,
	fold func(soFar T, event *Event) (T, error),
	onClose func(window *Window[T], out *Out) error,
) error {
	if windows.areSessions && w.merge == nil {
		return errors.New("sessions become one if a record lies between them: call OnMerge before Open")
	}
	w.windows, w.fold, w.onClose = windows, fold, onClose
	w.timer.OnFire(w.fire)
	return windows.check()
}

// Count is what Open takes to count the records of each window.
func Count(soFar int, _ *Event) (int, error) {
	return soFar + 1, nil
}

// OnMerge says what becomes of two sessions that a record makes one. Call it before Open.
func (w *Windowed[T]) OnMerge(merge func(earlier, later T) T) {
	w.merge = merge
}

// Add adds a record to its windows. False: it is too late for all of them. An error of the functions that Open was
// given ends the call here, and refuses the record.
func (w *Windowed[T]) Add(event *Event) bool {
	of, _ := read[windowsOf[T]](&w.store, w.instance.host.Get(w.index))
	now, isInTime := w.timer.Now(), false
	first, count := w.windows.of(event.Timestamp)
	for i := range count {
		start := first + i*w.windows.every
		window := openWindow[T]{Start: start, End: start + w.windows.size}
		from, to := of.same(window)
		if w.windows.areSessions {
			from, to = of.touched(window)
			window = w.merged(window, of.Windows[from:to])
		} else if from < to {
			window = of.Windows[from]
		}
		if w.windows.goneAt(window.End) <= now {
			continue
		}
		isInTime = true
		value, err := w.fold(window.Value, event)
		window.Value = value
		if err == nil && closedAt(window.End) <= now {
			err = w.close(event.Key, window)
		}
		if err != nil {
			panic(refused(err))
		}
		of.Windows = slices.Replace(of.Windows, from, to, window)
	}
	if isInTime {
		w.keep(of, now)
	}
	return isInTime
}

// merged is the session that a record makes of those that it touches.
func (w *Windowed[T]) merged(record openWindow[T], touched []openWindow[T]) openWindow[T] {
	for i, session := range touched {
		record.Start, record.End = min(record.Start, session.Start), max(record.End, session.End)
		if i == 0 {
			record.Value = session.Value
		} else {
			record.Value = w.merge(record.Value, session.Value)
		}
	}
	return record
}

// fire closes the windows whose last moment it is, and gives up those that take no records any more.
func (w *Windowed[T]) fire(fired *Fired, _ *Out) error {
	of, _ := read[windowsOf[T]](&w.store, w.instance.host.Get(w.index))
	for _, window := range of.Windows {
		if closedAt(window.End) == fired.At {
			if err := w.close(fired.Key, window); err != nil {
				return err
			}
		}
	}
	of.Timer = nil
	of.Windows = slices.DeleteFunc(of.Windows, func(window openWindow[T]) bool {
		return w.windows.goneAt(window.End) <= fired.At
	})
	w.keep(of, fired.At)
	return nil
}

func (w *Windowed[T]) close(key []byte, window openWindow[T]) error {
	out := &Out{instance: w.instance, timestamp: closedAt(window.End)}
	return w.onClose(&Window[T]{key, window.Start, window.End, window.Value}, out)
}

// keep writes what is left of a key, with a timer for the next moment at which something becomes of it. One that is set
// to an earlier moment stays: when it fires, nothing happens but that it is set anew.
func (w *Windowed[T]) keep(of windowsOf[T], now int64) {
	if len(of.Windows) == 0 {
		w.instance.host.Delete(w.index)
		return
	}
	next := w.windows.next(of.Windows[0].End, now)
	for _, window := range of.Windows {
		next = min(next, w.windows.next(window.End, now))
	}
	if of.Timer == nil || *of.Timer > next {
		if of.Timer != nil {
			w.timer.Clear(*of.Timer)
		}
		w.timer.Set(next)
		of.Timer = &next
	}
	w.instance.host.Put(w.index, marshal(of))
}

func (w *Windowed[T]) declare(instance *Instance, name string, tag reflect.StructTag) error {
	return errors.Join(w.add(instance, KindValue, name, tag), w.timer.declare(instance, name, tag))
}

// windowsOf is what is kept of a key.
type windowsOf[T any] struct {
	// Timer is what the timer is set to; nil while it fires.
	Timer *int64 `json:"timer"`
	// Windows are in the order of their ends.
	Windows []openWindow[T] `json:"windows"`
}

type openWindow[T any] struct {
	Start int64 `json:"start"`
	End   int64 `json:"end"`
	Value T     `json:"value"`
}

// same is the range of places that this window has among the others: none, or one place.
func (w windowsOf[T]) same(window openWindow[T]) (from, to int) {
	from, is := slices.BinarySearchFunc(w.Windows, window.End, func(other openWindow[T], end int64) int {
		return cmp.Compare(other.End, end)
	})
	if is {
		return from, from + 1
	}
	return from, from
}

// touched is the range of places of the sessions that a record makes one.
func (w windowsOf[T]) touched(record openWindow[T]) (from, to int) {
	for from < len(w.Windows) && w.Windows[from].End < record.Start {
		from++
	}
	for to = from; to < len(w.Windows) && w.Windows[to].Start <= record.End; {
		to++
	}
	return from, to
}
