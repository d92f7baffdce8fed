package main

import (
	"slices"
	"testing"

	"sandbar"
	"sandbar/sandbartest"
)

func TestJoin(t *testing.T) {
	host := sandbartest.Open(t, &Join{}, `{"kind": "inner", "within": {"after": "5s"}}`)
	host.PushEvent(sandbar.Event{Input: "left", Key: []byte("a"), Value: []byte(`{"order": 1}`), Timestamp: 10000})
	host.PushEvent(sandbar.Event{Input: "right", Key: []byte("a"), Value: []byte(`{"paid": 1}`), Timestamp: 15000})
	host.PushEvent(sandbar.Event{Input: "right", Key: []byte("a"), Value: []byte(`{"paid": 2}`), Timestamp: 15001})
	if lines := host.Lines(); !slices.Equal(lines, []string{`a {"left":{"order":1},"right":{"paid":1}}`}) {
		t.Error(lines)
	}
	host.Advance(15001)
	if timers := host.Timers(); len(timers) > 0 {
		t.Error(timers)
	}
	if _, err := sandbartest.New(&Join{}, `{"kind": "left", "within": {}}`); err == nil {
		t.Error("it takes inner only")
	}
}
