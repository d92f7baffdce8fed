package main

import (
	"slices"
	"testing"

	"sandbar/sandbartest"
)

func TestFilter(t *testing.T) {
	host := sandbartest.Open(t, &Filter{}, `{"field": "/ms", "at-least": 5}`)
	host.Push("a", `{"ms":7}`, 0)
	host.Push("b", `{"ms":4}`, 0)
	host.Push("c", `{"ms":"7"}`, 0)
	host.Push("d", `not JSON`, 0)
	if lines := host.Lines(); !slices.Equal(lines, []string{`a {"ms":7}`}) {
		t.Error(lines)
	}
	if refused := host.Refused(); len(refused) != 1 || refused[0].Record != 3 {
		t.Error(refused)
	}
}
