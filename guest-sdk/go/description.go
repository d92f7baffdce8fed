package sandbar

import (
	"reflect"
	"strings"
	"unicode"
)

// Description is what a plugin is, without running it on data.
type Description struct {
	// Name is the name of the plugin's type, if Describe does not change it: `HighBids` is "high-bids".
	Name string
	// Version is "0.1.0", if not changed.
	Version string
	// Inputs has a name for each input. Empty, as it is if not changed: there is one, without a name.
	Inputs []string
	// Outputs is ["out"], if not changed. The first is the one that takes what does not say where it goes.
	Outputs []string
	// Schema is a JSON schema of the configuration, by which the host refuses a wrong one before it runs. If not
	// changed, it is "{}", which is any, or empty for a plugin without fields to configure: it takes none.
	Schema string
	// Headers asks for the headers of records. True, if not changed.
	Headers bool
	// Coordinates says that partitions and offsets of records are of use to the plugin.
	Coordinates bool
	// KeepsKey promises that outputs have the key of their record: what stands behind may keep state too.
	KeepsKey bool

	// Stores, Timers and Metrics are the plugin's fields, in their order.
	Stores  []Store
	Timers  []TimerName
	Metrics []Metric
}

// Kind is the kind of a store.
type Kind uint8

// The kinds of stores: a value, a list or a map for each key.
const (
	KindValue Kind = iota
	KindList
	KindMap
)

// Store is a declared store.
type Store struct {
	Name string
	Kind Kind
	// Version says what the stored bytes mean, ReadableFrom which is the oldest version that can be read too.
	Version, ReadableFrom uint32
}

// TimerName is a declared timer.
type TimerName struct {
	Name string
	// OnClock is true for a timer of processing time, false for one of event time.
	OnClock bool
}

// Metric is a declared metric.
type Metric struct {
	Name, Help string
	// IsGauge is true for a gauge, false for a counter.
	IsGauge bool
}

// describe says what the plugin's type alone says.
func describe(plugin reflect.Type) Description {
	return Description{Name: kebab(plugin.Name()), Version: "0.1.0", Outputs: []string{"out"}, Headers: true}
}

// kebab writes a name in lower case, with a hyphen before each of its words: `HighBids` is "high-bids".
func kebab(name string) string {
	var text strings.Builder
	letters := []rune(name)
	for i, letter := range letters {
		if unicode.IsUpper(letter) && i > 0 {
			endsWord := !unicode.IsUpper(letters[i-1])
			beginsWord := i+1 < len(letters) && unicode.IsLower(letters[i+1])
			if endsWord || beginsWord {
				text.WriteByte('-')
			}
		}
		text.WriteRune(unicode.ToLower(letter))
	}
	return text.String()
}
