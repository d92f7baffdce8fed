package sandbar_test

import (
	"errors"
	"fmt"
	"math"
	"reflect"
	"testing"

	"sandbar"
	"sandbar/sandbartest"
)

// process is what a Func does with a record.
type process = func(f *Func, event *sandbar.Event, out *sandbar.Out) error

func open(t *testing.T, process process) (*Func, *sandbartest.Host) {
	t.Helper()
	plugin := &Func{process: process}
	return plugin, sandbartest.Open(t, plugin, "")
}

func TestPassLeavesRecordAsItIs(t *testing.T) {
	event := sandbar.Event{
		Key:       []byte{},
		Timestamp: -1,
		Headers:   []sandbar.Header{{Name: "a", Value: []byte("1")}, {Name: "a"}},
		Offset:    7,
	}
	_, host := open(t, func(_ *Func, event *sandbar.Event, out *sandbar.Out) error {
		if event.Offset != 7 || event.Header("a") != nil || event.Header("b") != nil {
			return fmt.Errorf("%+v", event)
		}
		out.Pass(event)
		out.Pass(event, sandbar.To("late"), sandbar.With("b", "2"))
		return nil
	})
	host.PushEvent(event)
	outputs := host.Outputs()
	same(t, host.Refused())
	same(t, outputs,
		sandbar.Message{Output: "out", Key: []byte{}, Timestamp: -1, Headers: event.Headers},
		sandbar.Message{Output: "late", Key: []byte{}, Timestamp: -1,
			Headers: append(event.Headers[:2:2], sandbar.Header{Name: "b", Value: []byte("2")})})
}

func TestEmitTakesAnything(t *testing.T) {
	type pair struct {
		B string
		A float64
	}
	_, host := open(t, func(_ *Func, event *sandbar.Event, out *sandbar.Out) error {
		out.Emit(nil, nil)
		out.Emit(event.Key, event.Value)
		out.Emit("", "text")
		out.Emit(7, pair{"<&>é", 3})
		out.Emit(true, []int{1, 2}, sandbar.At(9), sandbar.With("n", 1), sandbar.With("null", nil))
		return nil
	})
	host.Push("k", []byte("v"), 5)
	outputs := host.Outputs()
	want := []sandbar.Header{{Name: "n", Value: []byte("1")}, {Name: "null"}}
	if last := outputs[4]; last.Timestamp != 9 || !reflect.DeepEqual(last.Headers, want) || outputs[0].Timestamp != 5 {
		t.Errorf("%+v", outputs)
	}
	host.Push("k", []byte("v"), 5)
	same(t, host.Lines(), "null null", "k v", " text", `7 {"B":"<&>é","A":3}`, "true [1,2]")
}

func TestWhatCannotBeEmittedEndsTheCall(t *testing.T) {
	_, host := open(t, func(_ *Func, event *sandbar.Event, out *sandbar.Out) error {
		out.Emit("k", "never")
		switch text, _ := event.Text(); text {
		case "number":
			out.Emit("k", math.NaN())
		case "output":
			out.Emit("k", "v", sandbar.To("nowhere"))
		}
		panic("not reached")
	})
	host.Push(nil, "number", 0)
	host.Push(nil, "output", 0)
	same(t, host.Lines())
	same(t, host.Refused(),
		sandbartest.Refused{Record: 0, How: sandbar.HowDeadLetter, Reason: "json: unsupported value: NaN"},
		sandbartest.Refused{Record: 1, How: sandbar.HowDeadLetter, Reason: `there is no output "nowhere"`})
}

func TestTextAndJSON(t *testing.T) {
	_, host := open(t, func(_ *Func, event *sandbar.Event, out *sandbar.Out) error {
		if string(event.Key) == "json" {
			var bid struct{ Price int }
			if err := event.JSON(&bid); err != nil {
				return err
			}
			out.Emit("price", bid.Price)
			return nil
		}
		text, err := event.Text()
		out.Emit("text", text)
		return err
	})
	host.Push("json", `{"price":7}`, 0)
	host.Push("json", `{`, 0)
	host.Push("json", nil, 0)
	host.Push("text", "é", 0)
	host.Push("text", "\xff", 0)
	host.Push("text", nil, 0)
	same(t, host.Lines(), "price 7", "text é")
	var reasons []string
	for _, refused := range host.Refused() {
		reasons = append(reasons, refused.Reason)
	}
	same(t, reasons, "the value is not the expected JSON: unexpected end of JSON input", "the value is null",
		"the value is not UTF-8", "the value is null")
}

func TestRefusedRecordIsTakenBack(t *testing.T) {
	plugin, host := open(t, func(f *Func, event *sandbar.Event, out *sandbar.Out) error {
		text, _ := event.Text()
		f.Total.Set(text)
		f.Seen.Push(text)
		f.By.Put("a", 1)
		f.By.Put(text, 1)
		f.By.Delete("kept")
		f.later.Set(7)
		f.later.Clear(8)
		out.Emit("k", text)
		return map[string]error{
			"kept":        nil,
			"skip":        sandbar.Skip("1"),
			"dead-letter": sandbar.DeadLetter("2"),
			"fail":        fmt.Errorf("so: %w", sandbar.Fail("3")),
			"retry":       sandbar.Retry("4"),
			"other":       errors.New("5"),
		}[text]
	})
	host.Key("k")
	plugin.By.Put("kept", 2)
	plugin.later.Set(8)
	for i, how := range []string{"skip", "dead-letter", "fail", "retry", "other"} {
		host.Push("k", how, int64(i))
	}
	same(t, host.Refused(),
		sandbartest.Refused{Record: 0, How: sandbar.HowSkip, Reason: "1"},
		sandbartest.Refused{Record: 1, How: sandbar.HowDeadLetter, Reason: "2"},
		sandbartest.Refused{Record: 2, How: sandbar.HowFail, Reason: "so: 3"},
		sandbartest.Refused{Record: 3, How: sandbar.HowRetry, Reason: "4"},
		sandbartest.Refused{Record: 4, How: sandbar.HowDeadLetter, Reason: "5"})
	host.Key("k")
	if total, is := plugin.Total.Get(); is || len(plugin.Seen.Items()) > 0 {
		t.Error(total, plugin.Seen.Items())
	}
	same(t, entries(plugin), "kept=2")
	same(t, host.Timers(), sandbartest.Timer{Name: "later", Key: "k", At: 8})
	same(t, host.Lines())
	if host.Metric("calls") != 5 {
		t.Error("what a refused record measured stays")
	}
	host.Push("k", "kept", 0)
	same(t, host.Lines(), "k kept")
}

func TestSeedIsAnotherForEachCall(t *testing.T) {
	seeds := map[uint64]bool{}
	_, host := open(t, func(_ *Func, _ *sandbar.Event, out *sandbar.Out) error {
		seeds[out.Seed()] = out.Seed() == out.Seed()
		return nil
	})
	host.Push(nil, nil, 0)
	host.Push(nil, nil, 0)
	if len(seeds) != 2 {
		t.Error(seeds)
	}
}

func TestPanicOfTheAuthorIsNoRefusal(t *testing.T) {
	_, host := open(t, func(*Func, *sandbar.Event, *sandbar.Out) error { panic("mine") })
	defer func() {
		if recover() != "mine" {
			t.Error("it was kept back")
		}
	}()
	host.Push("k", "", 0)
}
