package main

import (
	"slices"
	"testing"

	"sandbar/sandbartest"
)

func TestWindowCount(t *testing.T) {
	host := sandbartest.Open(t, &WindowCount{}, `{"size": "10s"}`)
	host.Push("a", "1", 1000)
	host.Push("a", "2", 9999)
	host.Push("a", "3", 10000)
	host.Advance(9999)
	if lines := host.Lines(); !slices.Equal(lines, []string{`a {"start":0,"end":10000,"count":2}`}) {
		t.Error(lines)
	}
	host.Push("a", "late", 2000)
	if outputs := host.Outputs(); len(outputs) != 1 || outputs[0].Output != "late" {
		t.Error(outputs)
	}
}
