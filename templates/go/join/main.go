// This plugin pairs the records of two inputs that have the same key and lie near each other in time.
package main

import (
	"encoding/json"
	"fmt"

	"sandbar"
)

type Join struct {
	Kind   string                                   `json:"kind" required:"true"`
	Within struct{ Before, After sandbar.Duration } `json:"within" required:"true"`
	rows   sandbar.Map[rows]
	join   sandbar.EventTimer
}

type rows struct {
	Time, Until int64 // their own, and the last that a partner can have
	Values      []json.RawMessage
}

func (*Join) Describe(description *sandbar.Description) {
	description.Inputs = []string{"left", "right"}
	description.Outputs = []string{"out", "late"}
	description.KeepsKey = true
}

func (j *Join) Open() error {
	if j.Kind != "inner" {
		return fmt.Errorf("kind is %q, and this join can do \"inner\" only", j.Kind)
	}
	if sum := j.Within.Before + j.Within.After; sum < 0 {
		return fmt.Errorf("before and after are %d ms together, and 0 at least", sum)
	}
	j.join.OnFire(j.giveUp)
	return nil
}

func (j *Join) Process(event *sandbar.Event, out *sandbar.Out) error {
	var value json.RawMessage
	if err := event.JSON(&value); err != nil {
		return err
	}
	mine, _ := j.rows.Get(rowsAt(event.Input, event.Timestamp))
	if event.Timestamp <= j.join.Now() {
		out.Pass(event, sandbar.To("late"))
		return nil
	}
	other, until := "right", event.Timestamp+int64(j.Within.After)
	if event.Input == "right" {
		other, until = "left", event.Timestamp+int64(j.Within.Before)
	}
	for _, theirs := range j.rows.Scan(other) {
		for _, partner := range theirs.Values {
			if theirs.Time <= until && event.Timestamp <= theirs.Until {
				pair := map[string]any{event.Input: value, other: partner}
				out.Emit(event.Key, pair, sandbar.At(max(event.Timestamp, theirs.Time)))
			}
		}
	}
	if until > j.join.Now() {
		mine = rows{event.Timestamp, until, append(mine.Values, value)}
		j.rows.Put(rowsAt(event.Input, event.Timestamp), mine)
		j.join.Set(until)
	}
	return nil
}

func (j *Join) giveUp(fired *sandbar.Fired, _ *sandbar.Out) error {
	j.rows.Delete(rowsAt("left", fired.At-int64(j.Within.After)))
	j.rows.Delete(rowsAt("right", fired.At-int64(j.Within.Before)))
	return nil
}

// The texts sort as the times do.
func rowsAt(side string, time int64) string {
	return fmt.Sprintf("%s %020d", side, uint64(time)^(1<<63))
}

func init() { sandbar.Plugin(&Join{}) }
func main() {}
