package sandbar

import (
	"fmt"
	"strconv"
	"strings"
)

// Duration is a length of time in milliseconds, as timestamps are. As a field of a plugin it is read from a text such
// as "10s": a whole number, which may be negative, and a unit, ms, s, m, h or d.
type Duration int64

// The lengths of time that there are.
const (
	Millisecond Duration = 1
	Second               = 1000 * Millisecond
	Minute               = 60 * Second
	Hour                 = 60 * Minute
	Day                  = 24 * Hour
)

// longest is more than the time that there are timestamps for, and can be added to any of them.
const longest Duration = 1_000_000_000_000_000

var units = map[string]Duration{"ms": Millisecond, "s": Second, "m": Minute, "h": Hour, "d": Day}

// UnmarshalText reads a duration, as [encoding/json] wants it.
func (d *Duration) UnmarshalText(text []byte) error {
	unitAt := strings.IndexAny(string(text), "mshd")
	if unitAt > 0 && text[0] != '+' {
		number, err := strconv.ParseInt(string(text[:unitAt]), 10, 64)
		unit, is := units[string(text[unitAt:])]
		if err == nil && is && -longest/unit <= Duration(number) && Duration(number) <= longest/unit {
			*d = Duration(number) * unit
			return nil
		}
	}
	return fmt.Errorf("%q is no duration: it wants a whole number and one of ms, s, m, h and d, such as \"10s\"", text)
}
