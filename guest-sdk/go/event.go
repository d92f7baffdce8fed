package sandbar

import (
	"encoding/json"
	"errors"
	"fmt"
	"unicode/utf8"
)

// Event is a record as it came in.
type Event struct {
	// Key is nil if the record has none; an empty key is not nil.
	Key []byte
	// Value is nil if it is null (Kafka's tombstone); an empty value is not nil.
	Value []byte
	// Timestamp is in milliseconds since 1970.
	Timestamp int64
	// Headers are in the order in which they came.
	Headers []Header
	// Input is the name of the input that it came through; empty if the plugin gives none.
	Input string
	// Partition and Offset say where it lies in Kafka.
	Partition uint32
	Offset    int64
}

// Header is a header of a record. Its value is nil if it is null.
type Header struct {
	Name  string
	Value []byte
}

// Text is the value as text. A null value, or one that is not UTF-8, is an error.
func (e *Event) Text() (string, error) {
	if e.Value == nil {
		return "", errNull
	}
	if !utf8.Valid(e.Value) {
		return "", errors.New("the value is not UTF-8")
	}
	return string(e.Value), nil
}

// JSON reads the value into what a pointer points to. A null value, or one that is not such JSON, is an error.
func (e *Event) JSON(into any) error {
	if e.Value == nil {
		return errNull
	}
	if err := json.Unmarshal(e.Value, into); err != nil {
		return fmt.Errorf("the value is not the expected JSON: %w", err)
	}
	return nil
}

// Header is the value of the last header of a name: if a name repeats, Kafka's clients read the last. It is nil if
// there is none, or if it is null.
func (e *Event) Header(name string) []byte {
	for i := len(e.Headers) - 1; i >= 0; i-- {
		if e.Headers[i].Name == name {
			return e.Headers[i].Value
		}
	}
	return nil
}

var errNull = errors.New("the value is null")
