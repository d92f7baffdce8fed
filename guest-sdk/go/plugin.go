// Package sandbar is what the author of a Sandbar plugin in Go imports.
//
// A plugin is a pointer to a struct with a method Process. Its exported fields are its configuration, read from JSON;
// its fields of type [Value], [List], [Map], [Windowed], [EventTimer], [ProcessingTimer], [Counter] and [Gauge] are
// what it keeps, sets and measures. They are declared by being there.
package sandbar

// Processor is what every plugin is.
type Processor interface {
	// Process takes a record. An error refuses the record: see [Skip], [DeadLetter], [Fail] and [Retry]. Any other error
	// makes it a dead letter, with the error's text. What a refused record put out, wrote and set is taken back.
	Process(event *Event, out *Out) error
}

// Opener is a plugin that checks its configuration, or prepares something, when it starts. This is the place to say
// what happens when a timer fires.
type Opener interface {
	// Open is called once, when the configuration is in the plugin's fields. An error refuses the configuration.
	Open() error
}

// Describer is a plugin that says more about itself than its fields do.
type Describer interface {
	// Describe changes what the SDK would say of the plugin. It is called before there is a configuration.
	Describe(description *Description)
}

// Plugin makes a pointer to a struct the plugin of this program. Call it once, in `func init()`; a test does not need
// it.
func Plugin(plugin Processor) {
	register(plugin)
}
