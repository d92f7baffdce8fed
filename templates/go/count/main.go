// This plugin counts the records of each key: for every record it emits the number of those that its key has had.
package main

import "sandbar"

type Count struct {
	total sandbar.Value[int]
}

func (*Count) Describe(description *sandbar.Description) { description.KeepsKey = true }

func (c *Count) Process(event *sandbar.Event, out *sandbar.Out) error {
	total, _ := c.total.Get()
	total++
	c.total.Set(total)
	out.Emit(event.Key, total)
	return nil
}

func init() { sandbar.Plugin(&Count{}) }
func main() {}
