package sandbar

import (
	"bytes"
	"encoding/json"
)

// Out takes what a plugin puts out for a record, or for a timer that fired.
type Out struct {
	instance  *Instance
	timestamp int64
}

// Message is what a plugin puts out.
type Message struct {
	// Output is the name of a declared output.
	Output     string
	Key, Value []byte
	Timestamp  int64
	Headers    []Header
}

// Option says something more about what is put out.
type Option func(message *Message)

// To names the output, if it is not the first.
func To(output string) Option {
	return func(message *Message) { message.Output = output }
}

// At is a timestamp, in milliseconds since 1970.
func At(timestamp int64) Option {
	return func(message *Message) { message.Timestamp = timestamp }
}

// With adds a header. Its value is nil, bytes, a string, or what JSON can be made of.
func With(name string, value any) Option {
	return func(message *Message) {
		message.Headers = append(message.Headers, Header{name, encode(value)})
	}
}

// Emit puts out something new, with the timestamp of the record or the timer and no headers. Key and value are nil
// (null), bytes, a string, or what JSON can be made of: a number, a struct. If it cannot be made, the call ends here:
// the record becomes a dead letter.
func (o *Out) Emit(key, value any, options ...Option) {
	o.emit(Message{Key: encode(key), Value: encode(value), Timestamp: o.timestamp}, options)
}

// Pass puts out a record as it is: key, value, timestamp and headers.
func (o *Out) Pass(event *Event, options ...Option) {
	headers := event.Headers[:len(event.Headers):len(event.Headers)]
	o.emit(Message{Key: event.Key, Value: event.Value, Timestamp: event.Timestamp, Headers: headers}, options)
}

// Seed is for what needs chance, as in `rand.New(rand.NewPCG(out.Seed(), 0))`: another number for each record and each
// timer, and the same one when they come again.
func (o *Out) Seed() uint64 {
	return o.instance.host.Seed()
}

func (o *Out) emit(message Message, options []Option) {
	message.Output = o.instance.description.Outputs[0]
	for _, option := range options {
		option(&message)
	}
	o.instance.host.Emit(o.instance.output(message.Output), message)
}

// encode makes bytes of a key or a value; nil is null.
func encode(value any) []byte {
	switch value := value.(type) {
	case nil:
		return nil
	case []byte:
		return value
	case string:
		return []byte(value)
	default:
		return marshal(value)
	}
}

// marshal makes JSON without spaces, in which `<`, `>` and `&` stand as they are.
func marshal(value any) []byte {
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		panic(refused(err))
	}
	return bytes.TrimSuffix(text.Bytes(), []byte("\n"))
}
