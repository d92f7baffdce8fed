// This plugin passes the records whose number at a JSON pointer is high enough, unchanged.
package main

import "sandbar"

type Filter struct {
	Field   sandbar.Pointer `json:"field" required:"true"`
	AtLeast float64         `json:"at-least" required:"true"`
}

func (*Filter) Describe(description *sandbar.Description) { description.KeepsKey = true }

func (f *Filter) Process(event *sandbar.Event, out *sandbar.Out) error {
	var document any
	if err := event.JSON(&document); err != nil {
		return err
	}
	if number, is := f.Field.Find(document).(float64); is && number >= f.AtLeast {
		out.Pass(event)
	}
	return nil
}

func init() { sandbar.Plugin(&Filter{}) }
func main() {}
