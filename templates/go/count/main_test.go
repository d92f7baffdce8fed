package main

import (
	"slices"
	"testing"

	"sandbar/sandbartest"
)

func TestCount(t *testing.T) {
	host := sandbartest.Open(t, &Count{}, "")
	host.Push("a", "1", 0)
	host.Push("b", "2", 0)
	host.Push("a", nil, 0)
	if lines := host.Lines(); !slices.Equal(lines, []string{"a 1", "b 1", "a 2"}) {
		t.Error(lines)
	}
}
