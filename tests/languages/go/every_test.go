package main

import (
	"slices"
	"testing"

	"sandbar"
	"sandbar/sandbartest"
)

// null stands for a null value.
const null = "\x00"

func push(host *sandbartest.Host, values ...string) {
	for i, value := range values {
		if value == null {
			host.Push("k", nil, int64(i))
		} else {
			host.Push("k", value, int64(i))
		}
	}
}

func TestEvery(t *testing.T) {
	for _, test := range []struct {
		do     string
		values []string
		until  int64
		want   []string
	}{
		{"echo", []string{"a", "", null}, 0, []string{"k a", "k ", "k null"}},
		{"count", []string{"a", null, "b"}, 0, []string{"k 1", "k 2", "k 3"}},
		{"list", []string{"a", "<\"", null, "c"}, 0, []string{`k ["a"]`, `k ["a","<\""]`, "k cleared", `k ["c"]`}},
		{"map", []string{"b", "a", "b", "-a", null, "é"}, 0,
			[]string{`k {"b":1}`, `k {"a":1,"b":1}`, `k {"a":1,"b":2}`, `k {"b":2}`, "k {}", `k {"é":1}`}},
		{"delete", []string{"a"}, 0, []string{"k deleted"}},
		{"timer", []string{"a", "a"}, 1000, []string{"k 1000 1"}},
		{"rearm", []string{"a"}, 5000, []string{"k 1000 1", "k 1500 2", "k 2000 3"}},
		{"cancel", []string{"a"}, 5000, []string{"k 2000 1"}},
		{"clock-timer", []string{"a"}, 0, []string{"k clock 0"}},
		{"refuse", []string{"skip", "dead-letter", "fail", "retry", "a"}, 0, []string{"k a"}},
		{"error", []string{"bad", "a"}, 0, []string{"k a"}},
		{"window", []string{"a", "b"}, 999, []string{"k 0 2"}},
		{"session", []string{"a", "b"}, 1000, []string{"k 0 1001 2"}},
		{"config", []string{"a"}, 0, []string{"k 7"}},
	} {
		host := sandbartest.Open(t, &Every{}, `{"do":"`+test.do+`","number":7}`)
		push(host, test.values...)
		host.Advance(test.until)
		if is := host.Lines(); !slices.Equal(is, test.want) {
			t.Errorf("%s: %q is not %q", test.do, is, test.want)
		}
		if events := host.Metric("events"); events != float64(len(test.values)) {
			t.Errorf("%s: %v events", test.do, events)
		}
	}
}

func TestRefusals(t *testing.T) {
	plugin := &Every{}
	host := sandbartest.Open(t, plugin, `{"do":"refuse"}`)
	push(host, "skip", "dead-letter", "fail", "retry")
	for _, refused := range host.Refused() {
		want := []sandbar.How{sandbar.HowSkip, sandbar.HowDeadLetter, sandbar.HowFail, sandbar.HowRetry}[refused.Record]
		if refused.How != want || refused.Reason != "told to" {
			t.Error(refused)
		}
	}
	host.Key("k")
	if n, is := plugin.count.Get(); is {
		t.Error(n)
	}
}

func TestLate(t *testing.T) {
	for do, want := range map[string][]string{
		"window":  {"k 0 1", "k 0 2", "k late"},
		"session": {"k 0 1000 1", "k late", "k late"},
	} {
		host := sandbartest.Open(t, &Every{}, `{"do":"`+do+`"}`)
		for _, until := range []int64{999, 1499, 5000} {
			host.Push("k", "a", 0)
			host.Advance(until)
		}
		if is := host.Lines(); !slices.Equal(is, want) {
			t.Errorf("%s: %q is not %q", do, is, want)
		}
	}
}

func TestUnknown(t *testing.T) {
	if _, err := sandbartest.New(&Every{}, `{"do":"nix"}`); err == nil || err.Error() != "unknown: nix" {
		t.Error(err)
	}
}
