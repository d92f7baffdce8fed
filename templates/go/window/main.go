// This plugin counts the records of each key in windows of one size, one behind the other.
package main

import "sandbar"

type WindowCount struct {
	Size            sandbar.Duration `json:"size" required:"true"`
	AllowedLateness sandbar.Duration `json:"allowed-lateness"`
	windows         sandbar.Windowed[int]
}

type row struct {
	Start int64 `json:"start"`
	End   int64 `json:"end"`
	Count int   `json:"count"`
}

func (*WindowCount) Describe(description *sandbar.Description) {
	description.Outputs = []string{"out", "late"}
	description.KeepsKey = true
}

func (w *WindowCount) Open() error {
	return w.windows.Open(sandbar.Tumbling(w.Size).AllowedLateness(w.AllowedLateness), sandbar.Count, put)
}

func (w *WindowCount) Process(event *sandbar.Event, out *sandbar.Out) error {
	if !w.windows.Add(event) {
		out.Pass(event, sandbar.To("late"))
	}
	return nil
}

func put(window *sandbar.Window[int], out *sandbar.Out) error {
	out.Emit(window.Key, row{window.Start, window.End, window.Value})
	return nil
}

func init() { sandbar.Plugin(&WindowCount{}) }
func main() {}
