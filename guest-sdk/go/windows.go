package sandbar

import (
	"errors"
	"fmt"
	"math"
)

// mostWindows is how many windows a record belongs to at most.
const mostWindows = 10_000

// Windows says which windows there are. Their starts lie at multiples of their size, or of `every`, since 1970.
type Windows struct {
	areSessions bool
	// size is the gap if they are sessions. All are in milliseconds.
	size, every, lateness int64
}

// Tumbling windows lie one behind the other, each of this size.
func Tumbling(size Duration) Windows {
	return Hopping(size, size)
}

// Hopping windows are each of this size, and a new one begins every so often: they overlap.
func Hopping(size, every Duration) Windows {
	return Windows{size: int64(size), every: int64(every)}
}

// Session windows have records between any two of which, in the order of their times, there is this gap at most. They
// end that long behind their last record.
func Session(gap Duration) Windows {
	return Windows{areSessions: true, size: int64(gap)}
}

// AllowedLateness lets a window take records for so long after event time has passed it.
func (w Windows) AllowedLateness(lateness Duration) Windows {
	w.lateness = int64(lateness)
	return w
}

// check says why there can be no such windows.
func (w Windows) check() error {
	switch {
	case w.areSessions && w.size < 1:
		return fmt.Errorf("the gap of sessions is 1 ms at least, not %d ms", w.size)
	case !w.areSessions && min(w.size, w.every) < 1:
		return fmt.Errorf("the size of windows and `every` are 1 ms at least, not %d ms and %d ms", w.size, w.every)
	case w.every > w.size:
		return fmt.Errorf("windows of %d ms every %d ms leave out what lies between them", w.size, w.every)
	case !w.areSessions && w.size/w.every > mostWindows:
		return fmt.Errorf("a record would be in %d windows, %d at most", w.size/w.every, mostWindows)
	case w.lateness < 0:
		return errors.New("the allowed lateness is negative")
	}
	return nil
}

// of returns the start of the first window of a record, and how many it has. Of sessions it is the one of this record
// alone. A time at the very ends of time has none: the record is a dead letter.
func (w Windows) of(time int64) (first, count int64) {
	back, on, count := int64(0), w.size, int64(1)
	if !w.areSessions {
		sinceLast := (time%w.every + w.every) % w.every
		count = (w.size-1-sinceLast)/w.every + 1
		back = sinceLast + (count-1)*w.every
		on = w.size - sinceLast
	}
	if time < math.MinInt64+back || time > math.MaxInt64-on {
		panic(&Refusal{HowDeadLetter, fmt.Sprintf("the record's time, %d, is beyond all windows", time)})
	}
	return time - back, count
}

// closedAt is the moment at which a window with this end is over: its last one.
func closedAt(end int64) int64 {
	return end - 1
}

// goneAt is the moment at which a window with this end takes no records any more.
func (w Windows) goneAt(end int64) int64 {
	if closedAt(end) > math.MaxInt64-w.lateness {
		return math.MaxInt64
	}
	return closedAt(end) + w.lateness
}

// next is the next moment after `now` at which something becomes of a window with this end.
func (w Windows) next(end, now int64) int64 {
	if closedAt(end) > now {
		return closedAt(end)
	}
	return w.goneAt(end)
}
