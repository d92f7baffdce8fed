package sandbar_test

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"sandbar"
	"sandbar/sandbartest"
)

// Views puts out what each of its windows has, one value behind the other.
type Views struct {
	windows sandbar.Windows
	views   sandbar.Windowed[string]
}

func (*Views) Describe(description *sandbar.Description) {
	description.Outputs = []string{"out", "late"}
}

func (v *Views) Open() error {
	v.views.OnMerge(func(earlier, later string) string { return earlier + later })
	return v.views.Open(v.windows, v.fold, v.put)
}

func (v *Views) Process(event *sandbar.Event, out *sandbar.Out) error {
	if !v.views.Add(event) {
		out.Emit(event.Key, "late", sandbar.To("late"))
	}
	return nil
}

func (v *Views) fold(soFar string, event *sandbar.Event) (string, error) {
	if string(event.Value) == "bad" {
		return "", errors.New("bad")
	}
	return soFar + string(event.Value), nil
}

func (v *Views) put(window *sandbar.Window[string], out *sandbar.Out) error {
	if strings.Contains(window.Value, "!") {
		return sandbar.Skip("told to")
	}
	out.Emit(window.Key, fmt.Sprintf("%d..%d %s", window.Start, window.End, window.Value))
	return nil
}

func views(t *testing.T, windows sandbar.Windows) *sandbartest.Host {
	t.Helper()
	return sandbartest.Open(t, &Views{windows: windows}, "")
}

func TestTumblingWindowClosesAtItsLastMoment(t *testing.T) {
	host := views(t, sandbar.Tumbling(10).AllowedLateness(5))
	host.Push("a", "1", 9)
	host.Push("b", "2", 0)
	host.Push("a", "3", 10)
	host.Push("a", "4", -1)
	host.Advance(8)
	same(t, host.Lines(), "a -10..0 4")
	host.Advance(9)
	outputs := host.Outputs()
	if len(outputs) != 2 || string(outputs[0].Value) != "0..10 1" || outputs[0].Timestamp != 9 {
		t.Error(outputs)
	}
	host.Push("a", "5", 3)
	same(t, host.Lines(), "a 0..10 15")
	host.Advance(13)
	host.Push("c", "6", 3)
	same(t, host.Lines(), "c 0..10 6")
	host.Advance(14)
	host.Push("a", "7", 3)
	host.Push("c", "8", -11)
	same(t, host.Lines(), "a late", "c late")
	same(t, host.Timers(), sandbartest.Timer{Name: "views", Key: "a", At: 19})
	host.Advance(math.MaxInt64)
	same(t, host.Lines(), "a 10..20 3")
	same(t, host.Timers())
}

func TestHoppingWindowsOverlap(t *testing.T) {
	host := views(t, sandbar.Hopping(10, 4))
	host.Push("a", "1", -1)
	host.Push("a", "2", 4)
	host.Advance(5)
	same(t, host.Lines(), "a -8..2 1", "a -4..6 12")
	host.Push("a", "3", 3)
	host.Push("a", "4", -3)
	same(t, host.Lines(), "a late")
	host.Advance(math.MaxInt64)
	same(t, host.Lines(), "a 0..10 23", "a 4..14 2")
}

func TestSessionsBecomeOne(t *testing.T) {
	host := views(t, sandbar.Session(10).AllowedLateness(5))
	host.Push("a", "1", 0)
	host.Push("a", "2", 30)
	host.Push("a", "3", 10)
	host.Push("a", "4", 41)
	same(t, host.Timers(), sandbartest.Timer{Name: "views", Key: "a", At: 9})
	host.Push("a", "5", 20)
	host.Advance(49)
	same(t, host.Lines(), "a 0..40 1325")
	same(t, host.Timers(), sandbartest.Timer{Name: "views", Key: "a", At: 50})
	host.Advance(50)
	same(t, host.Lines(), "a 41..51 4")
	host.Push("a", "6", 35)
	same(t, host.Lines(), "a 35..51 46")
	host.Push("a", "7", 20)
	same(t, host.Lines(), "a late")
	host.Push("a", "8", 50)
	host.Advance(math.MaxInt64)
	same(t, host.Lines(), "a 35..60 468")
}

func TestRefusedRecordLeavesWindowsAsTheyWere(t *testing.T) {
	host := views(t, sandbar.Hopping(10, 5).AllowedLateness(100))
	host.Push("a", "1", 3)
	host.Push("a", "bad", 23)
	host.Push(nil, "2", 3)
	same(t, host.Refused(),
		sandbartest.Refused{Record: 1, How: sandbar.HowDeadLetter, Reason: "bad"},
		sandbartest.Refused{Record: 2, How: sandbar.HowDeadLetter, Reason: "the record has no key"})
	same(t, host.Timers(), sandbartest.Timer{Name: "views", Key: "a", At: 4})
	host.Advance(9)
	host.Push("a", "!", 3)
	same(t, host.Refused(), sandbartest.Refused{Record: 3, How: sandbar.HowSkip, Reason: "told to"})
	host.Push("a", "2", 9)
	same(t, host.Lines(), "a -5..5 1", "a 0..10 1", "a 0..10 12")
}

func TestTimesAtTheEndsOfTime(t *testing.T) {
	for _, windows := range []sandbar.Windows{sandbar.Tumbling(10), sandbar.Hopping(10, 3), sandbar.Session(10)} {
		host := views(t, windows.AllowedLateness(1_000_000_000_000_000))
		host.Push("a", "1", math.MaxInt64)
		host.Push("a", "1", math.MaxInt64-9)
		host.Push("a", "1", math.MaxInt64-20)
		host.Push("a", "1", math.MinInt64)
		host.Push("a", "1", math.MinInt64+20)
		host.Advance(math.MaxInt64)
		for _, refused := range host.Refused() {
			if refused.How != sandbar.HowDeadLetter || !strings.HasSuffix(refused.Reason, "beyond all windows") {
				t.Error(refused)
			}
		}
		if lines := host.Lines(); len(lines) < 2 || len(host.Timers()) > 0 {
			t.Error(lines, host.Timers())
		}
	}
}

func TestWindowsThatCannotBe(t *testing.T) {
	for want, windows := range map[string]sandbar.Windows{
		"1 ms at least, not 0 ms and 0 ms": sandbar.Tumbling(0),
		"1 ms at least, not 5 ms and 0 ms": sandbar.Hopping(5, 0),
		"5 ms every 6 ms":                  sandbar.Hopping(5, 6),
		"20000 windows, 10000 at most":     sandbar.Hopping(20_000, 1),
		"the gap of sessions":              sandbar.Session(0),
		"the allowed lateness is negative": sandbar.Session(1).AllowedLateness(-1),
	} {
		if _, err := sandbartest.New(&Views{windows: windows}, ""); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
	var views sandbar.Windowed[int]
	if err := views.Open(sandbar.Session(1), nil, nil); err == nil || !strings.Contains(err.Error(), "OnMerge") {
		t.Error(err)
	}
}

// TestWindowsAreWhatTheirRecordsSay compares what comes out with all records put together at the end.
func TestWindowsAreWhatTheirRecordsSay(t *testing.T) {
	chance := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		size := 1 + chance.Int64N(12)
		every := 1 + chance.Int64N(size)
		host := views(t, sandbar.Hopping(sandbar.Duration(size), sandbar.Duration(every)))
		sessions := views(t, sandbar.Session(sandbar.Duration(size)))
		var times []int64
		for range 20 {
			time := chance.Int64N(100) - 50
			times = append(times, time)
			host.Push("a", "x", time)
			sessions.Push("a", "x", time)
		}
		host.Advance(math.MaxInt64)
		sessions.Advance(math.MaxInt64)
		slices.Sort(times)
		same(t, host.Lines(), hopping(times, size, every)...)
		same(t, sessions.Lines(), sessionsOf(times, size)...)
	}
}

func hopping(times []int64, size, every int64) (lines []string) {
	for start := int64(-2000); start < 2000; start++ {
		records := 0
		for _, time := range times {
			if start <= time && time < start+size && start%every == 0 {
				records++
			}
		}
		if records > 0 {
			lines = append(lines, fmt.Sprintf("a %d..%d %s", start, start+size, strings.Repeat("x", records)))
		}
	}
	return lines
}

func sessionsOf(times []int64, gap int64) (lines []string) {
	first := 0
	for i := range times {
		if i == len(times)-1 || times[i+1]-times[i] > gap {
			records := strings.Repeat("x", i+1-first)
			lines = append(lines, fmt.Sprintf("a %d..%d %s", times[first], times[i]+gap, records))
			first = i + 1
		}
	}
	return lines
}
