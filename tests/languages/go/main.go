// Every is the plugin by which the Go SDK is tested: its configuration says what it does.
package main

import (
	"sandbar"
)

// Every is the plugin; Do and Number are its configuration.
type Every struct {
	Do     string `json:"do"`
	Number int    `json:"number"`

	count    sandbar.Value[int]
	seen     sandbar.List[string]
	by       sandbar.Map[int]
	windows  sandbar.Windowed[int]
	sessions sandbar.Windowed[int]
	later    sandbar.EventTimer
	clock    sandbar.ProcessingTimer
	events   sandbar.Counter `help:"events seen"`

	todo action
}

// action is what is done with an event.
type action func(e *Every, event *sandbar.Event, out *sandbar.Out) error

func init() { sandbar.Plugin(&Every{}) }

func main() {}

// Describe asks for partitions and offsets.
func (*Every) Describe(description *sandbar.Description) {
	description.Coordinates = true
}

// Open looks up what to do.
func (e *Every) Open() error {
	todo, is := actions[e.Do]
	if !is {
		return unknown(e.Do)
	}
	e.todo = todo
	e.later.OnFire(e.fireLater)
	e.clock.OnFire(e.fireClock)
	return e.openWindows()
}

// Process does it.
func (e *Every) Process(event *sandbar.Event, out *sandbar.Out) error {
	e.events.Add(1)
	return e.todo(e, event, out)
}
