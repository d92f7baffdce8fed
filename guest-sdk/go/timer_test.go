package sandbar_test

import (
	"errors"
	"fmt"
	"math"
	"testing"

	"sandbar"
	"sandbar/sandbartest"
)

func TestTimersFireInOrder(t *testing.T) {
	plugin, host := open(t, func(f *Func, event *sandbar.Event, out *sandbar.Out) error {
		out.Emit(event.Key, "process")
		f.later.Set(event.Timestamp)
		f.later.Set(event.Timestamp)
		f.early.Set(20)
		return nil
	})
	plugin.fire = func(f *Func, fired *sandbar.Fired, out *sandbar.Out) error {
		out.Emit(fired.Key, fmt.Sprintf("%d %d", fired.At, f.later.Now()))
		if fired.At == 10 {
			f.later.Set(15)
			f.later.Set(30)
		}
		return nil
	}
	host.Push("b", "", 20)
	host.Push("a", "", 20)
	host.Push("c", "", 10)
	same(t, host.Lines(), "b process", "a process", "c process")
	host.Advance(9)
	host.Advance(5)
	same(t, host.Lines())
	host.Advance(20)
	same(t, host.Lines(), "c 10 20", "c 15 20", "a early", "b early", "c early", "a 20 20", "b 20 20")
	host.Push("d", "", 20)
	same(t, host.Lines(), "d process", "d early", "d 20 20")
	same(t, host.Timers(), sandbartest.Timer{Name: "later", Key: "c", At: 30})
	host.Advance(math.MaxInt64)
	if outputs := host.Outputs(); len(outputs) != 1 || outputs[0].Timestamp != 30 {
		t.Error("it has the timer's time", outputs)
	}
}

func TestClearedTimerDoesNotFire(t *testing.T) {
	plugin, host := open(t, func(f *Func, event *sandbar.Event, _ *sandbar.Out) error {
		f.later.Set(1)
		f.later.Set(2)
		f.later.Clear(1)
		f.later.Clear(3)
		return nil
	})
	plugin.fire = func(f *Func, fired *sandbar.Fired, out *sandbar.Out) error {
		out.Emit(fired.Key, fired.At)
		return nil
	}
	host.Push("a", "", 0)
	host.Push("b", "", 0)
	host.Key("b")
	plugin.later.Clear(2)
	host.Advance(5)
	same(t, host.Lines(), "a 2")
}

func TestClockIsNotEventTime(t *testing.T) {
	plugin, host := open(t, func(f *Func, event *sandbar.Event, _ *sandbar.Out) error {
		f.clock.Set(0)
		f.clock.Set(7)
		return nil
	})
	plugin.fire = func(f *Func, fired *sandbar.Fired, out *sandbar.Out) error {
		out.Emit(fired.Key, fmt.Sprintf("%d at %d, %t", fired.At, f.clock.Now(), f.later.Now() == math.MinInt64))
		return nil
	}
	host.Push("a", "", 100)
	same(t, host.Lines(), "a 0 at 0, true")
	host.Clock(8)
	same(t, host.Lines(), "a 7 at 8, true")
}

func TestTimerThatFailsStays(t *testing.T) {
	for want, failure := range map[sandbartest.Refused]error{
		{Record: -1, How: sandbar.HowRetry, Reason: "later"}: sandbar.Retry("later"),
		{Record: -1, How: sandbar.HowFail, Reason: "no"}:     sandbar.Fail("no"),
		{Record: -1, How: sandbar.HowFail, Reason: "skip"}:   sandbar.Skip("skip"),
		{Record: -1, How: sandbar.HowFail, Reason: "mine"}:   errors.New("mine"),
	} {
		plugin, host := open(t, func(f *Func, event *sandbar.Event, _ *sandbar.Out) error {
			f.later.Set(1)
			return nil
		})
		plugin.fire = func(f *Func, fired *sandbar.Fired, out *sandbar.Out) error {
			f.Total.Set(1)
			f.later.Set(5)
			out.Emit(fired.Key, "never")
			return failure
		}
		host.Push("a", "", 0)
		host.Advance(1)
		same(t, host.Lines())
		same(t, host.Refused(), want)
		same(t, host.Timers(), sandbartest.Timer{Name: "later", Key: "a", At: 1})
		failure = nil
		host.Advance(1)
		same(t, host.Lines(), "a never")
	}
}
