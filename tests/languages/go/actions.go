package main

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"sandbar"
)

// actions are what the configuration may name.
var actions = map[string]action{
	"echo":        pass,
	"count":       count,
	"list":        list,
	"map":         byText,
	"delete":      deleteCount,
	"timer":       setTimer,
	"rearm":       setTimer,
	"cancel":      cancel,
	"clock-timer": setClock,
	"refuse":      refuse,
	"error":       onBad(func() error { return errors.New("no good") }),
	"panic":       onBad(func() error { panic("bad") }),
	"loop":        onBad(loop),
	"memory":      onBad(memory),
	"log":         log,
	"print":       print,
	"clock":       clock,
	"random":      random,
	"files":       files,
	"window":      toWindows,
	"session":     toSessions,
	"config":      config,
}

// unknown is what Open says of another name.
func unknown(name string) error { return fmt.Errorf("unknown: %s", name) }

func pass(_ *Every, event *sandbar.Event, out *sandbar.Out) error {
	out.Pass(event)
	return nil
}

// next counts one more for the key.
func (e *Every) next() int {
	n, _ := e.count.Get()
	n++
	e.count.Set(n)
	return n
}

func count(e *Every, event *sandbar.Event, out *sandbar.Out) error {
	out.Emit(event.Key, e.next())
	return nil
}

func list(e *Every, event *sandbar.Event, out *sandbar.Out) error {
	if event.Value == nil {
		e.seen.Clear()
		out.Emit(event.Key, "cleared")
		return nil
	}
	text, err := event.Text()
	if err != nil {
		return err
	}
	e.seen.Push(text)
	out.Emit(event.Key, e.seen.Items())
	return nil
}

func byText(e *Every, event *sandbar.Event, out *sandbar.Out) error {
	if event.Value == nil {
		e.by.Clear()
	} else if err := e.countText(event); err != nil {
		return err
	}
	var entries []string
	for key, n := range e.by.Scan("") {
		quoted, err := json.Marshal(key)
		if err != nil {
			return err
		}
		entries = append(entries, fmt.Sprintf("%s:%d", quoted, n))
	}
	out.Emit(event.Key, "{"+strings.Join(entries, ",")+"}")
	return nil
}

// countText counts a text, or takes it away if it begins with a hyphen.
func (e *Every) countText(event *sandbar.Event) error {
	text, err := event.Text()
	if err != nil {
		return err
	}
	if rest, is := strings.CutPrefix(text, "-"); is {
		e.by.Delete(rest)
		return nil
	}
	n, _ := e.by.Get(text)
	e.by.Put(text, n+1)
	return nil
}

func deleteCount(e *Every, event *sandbar.Event, out *sandbar.Out) error {
	e.count.Delete()
	out.Emit(event.Key, "deleted")
	return nil
}

func setTimer(e *Every, event *sandbar.Event, _ *sandbar.Out) error {
	e.later.Set(event.Timestamp + 1000)
	return nil
}

func cancel(e *Every, event *sandbar.Event, _ *sandbar.Out) error {
	e.later.Set(event.Timestamp + 1000)
	e.later.Set(event.Timestamp + 2000)
	e.later.Clear(event.Timestamp + 1000)
	return nil
}

func (e *Every) fireLater(fired *sandbar.Fired, out *sandbar.Out) error {
	n := e.next()
	out.Emit(fired.Key, fmt.Sprintf("%d %d", fired.At, n))
	if e.Do == "rearm" && n < 3 {
		e.later.Set(fired.At + 500)
	}
	return nil
}

func setClock(e *Every, _ *sandbar.Event, _ *sandbar.Out) error {
	e.clock.Set(0)
	return nil
}

func (e *Every) fireClock(fired *sandbar.Fired, out *sandbar.Out) error {
	out.Emit(fired.Key, fmt.Sprintf("clock %d", fired.At))
	return nil
}

func refuse(e *Every, event *sandbar.Event, out *sandbar.Out) error {
	refusal := map[string]func(string) error{
		"skip":        sandbar.Skip,
		"dead-letter": sandbar.DeadLetter,
		"fail":        sandbar.Fail,
		"retry":       sandbar.Retry,
	}[string(event.Value)]
	if refusal == nil {
		return pass(e, event, out)
	}
	out.Emit(event.Key, "never")
	e.count.Set(99)
	return refusal("told to")
}

// onBad does something bad if the value is "bad", and passes any other.
func onBad(bad func() error) action {
	return func(e *Every, event *sandbar.Event, out *sandbar.Out) error {
		if string(event.Value) == "bad" {
			return bad()
		}
		return pass(e, event, out)
	}
}

func loop() error {
	for {
	}
}

func memory() error {
	var all [][]byte
	for {
		all = append(all, make([]byte, 1<<20))
	}
}

func log(e *Every, event *sandbar.Event, out *sandbar.Out) error {
	for i := range 2000 {
		sandbar.Log.Info("line %d", i)
	}
	return pass(e, event, out)
}

func print(e *Every, event *sandbar.Event, out *sandbar.Out) error {
	fmt.Println("hello")
	return pass(e, event, out)
}

func clock(_ *Every, event *sandbar.Event, out *sandbar.Out) error {
	out.Emit(event.Key, time.Now().UnixMilli())
	return nil
}

func random(_ *Every, event *sandbar.Event, out *sandbar.Out) error {
	var bytes [8]byte
	if _, err := rand.Read(bytes[:]); err != nil {
		return err
	}
	out.Emit(event.Key, hex.EncodeToString(bytes[:]))
	return nil
}

func files(_ *Every, event *sandbar.Event, out *sandbar.Out) error {
	could := "yes"
	if file, err := os.Open("/etc/passwd"); err != nil {
		could = "no"
	} else {
		file.Close()
	}
	out.Emit(event.Key, could)
	return nil
}

func config(e *Every, event *sandbar.Event, out *sandbar.Out) error {
	out.Emit(event.Key, e.Number)
	return nil
}
