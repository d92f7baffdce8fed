package sandbar_test

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"sandbar"
	"sandbar/sandbartest"
)

// HighBids has everything that a plugin can declare.
type HighBids struct {
	AtLeast int `json:"at_least"`

	Total  sandbar.Value[int] `version:"3" readable-from:"2"`
	userID sandbar.List[string]
	pages  sandbar.Map[int] `sandbar:"views"`
	Quiet  sandbar.EventTimer
	hourly sandbar.ProcessingTimer
	Events sandbar.Counter `help:"events seen"`
	load   sandbar.Gauge
	cache  map[string]int
}

func (*HighBids) Describe(description *sandbar.Description) {
	description.Version = "1.2.3"
	description.Inputs = []string{"bids", "users"}
	description.Outputs = append(description.Outputs, "late")
	description.KeepsKey = true
}

func (h *HighBids) Open() error {
	if h.AtLeast < 0 {
		return errors.New("at_least is negative")
	}
	nothing := func(*sandbar.Fired, *sandbar.Out) error { return nil }
	h.Quiet.OnFire(nothing)
	h.hourly.OnFire(nothing)
	return nil
}

func (h *HighBids) Process(event *sandbar.Event, out *sandbar.Out) error {
	h.Events.Add(2)
	h.load.Set(float64(h.AtLeast))
	out.Emit(event.Input, h.AtLeast)
	return nil
}

func TestFieldsAreDeclared(t *testing.T) {
	want := sandbar.Description{
		Name:     "high-bids",
		Version:  "1.2.3",
		Inputs:   []string{"bids", "users"},
		Outputs:  []string{"out", "late"},
		Schema:   "{}",
		Headers:  true,
		KeepsKey: true,
		Stores: []sandbar.Store{
			{Name: "total", Kind: sandbar.KindValue, Version: 3, ReadableFrom: 2},
			{Name: "user-id", Kind: sandbar.KindList, Version: 1, ReadableFrom: 1},
			{Name: "views", Kind: sandbar.KindMap, Version: 1, ReadableFrom: 1},
		},
		Timers:  []sandbar.TimerName{{Name: "quiet"}, {Name: "hourly", OnClock: true}},
		Metrics: []sandbar.Metric{{Name: "events", Help: "events seen"}, {Name: "load", IsGauge: true}},
	}
	if is := sandbar.Bind(&HighBids{}, nil).Description(); !reflect.DeepEqual(is, want) {
		t.Errorf("%+v\nis not\n%+v", is, want)
	}
	if schema := sandbar.Bind(&Func{}, nil).Description().Schema; schema != "" {
		t.Errorf("it takes no configuration, but %s", schema)
	}
	const needs = `{"required":["size","Field"],"type":"object"}`
	if schema := sandbar.Bind(&Needs{}, nil).Description().Schema; schema != needs {
		t.Errorf("%s is not %s", schema, needs)
	}
}

// Needs has fields that have to be configured.
type Needs struct {
	Size  sandbar.Duration `json:"size,omitempty" required:"true"`
	Field sandbar.Pointer  `required:"true"`
	Late  sandbar.Duration `json:"late"`
	Mine  int              `json:"-" required:"true"`
	Total sandbar.Value[int]
}

func (*Needs) Process(*sandbar.Event, *sandbar.Out) error { return nil }

func TestConfigurationIsRead(t *testing.T) {
	host := sandbartest.Open(t, &HighBids{}, ` {"at_least": 7} `)
	host.PushEvent(sandbar.Event{Input: "users"})
	same(t, host.Lines(), "users 7")
	if events, load := host.Metric("events"), host.Metric("load"); events != 2 || load != 7 {
		t.Error(events, load)
	}
	for config, want := range map[string]string{
		`{"at_lest": 7}`:   `json: unknown field "at_lest"`,
		`{"total": {}}`:    `json: unknown field "total"`,
		`{"Quiet": null}`:  `json: unknown field "quiet"`,
		`{"Events": 7}`:    `json: unknown field "events"`,
		`{"userID": []}`:   `json: unknown field "userID"`,
		`{"cache": {}}`:    `json: unknown field "cache"`,
		`{"at_least": -1}`: "at_least is negative",
		`{"at_least": ""}`: "cannot unmarshal string",
		`{} {}`:            "something behind",
		`[]`:               "cannot unmarshal array",
		`{`:                "unexpected EOF",
	} {
		if _, err := sandbartest.New(&HighBids{}, config); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", config, err)
		}
	}
}

// Forgetful says of no timer what is to happen.
type Forgetful struct{ later sandbar.EventTimer }

func (*Forgetful) Process(*sandbar.Event, *sandbar.Out) error { return nil }

func TestTimerNeedsCallback(t *testing.T) {
	_, err := sandbartest.New(&Forgetful{}, "")
	if err == nil || !strings.Contains(err.Error(), `timer "later"`) {
		t.Error(err)
	}
}

// Wrong has a version that is none; by value it is no pointer.
type Wrong struct {
	total sandbar.Value[int] `version:"0"`
}

func (Wrong) Process(*sandbar.Event, *sandbar.Out) error { return nil }

func TestWrongPluginPanics(t *testing.T) {
	for want, plugin := range map[string]sandbar.Processor{
		"pointer to a struct":                         Wrong{},
		`field total of *sandbar_test.Wrong: version`: &Wrong{},
	} {
		func() {
			defer func() {
				if text, _ := recover().(string); !strings.Contains(text, want) {
					t.Errorf("%q is not in %q", want, text)
				}
			}()
			sandbar.Bind(plugin, nil)
		}()
	}
}

// Func is a plugin that is one function, with stores and timers to use in it.
type Func struct {
	process process
	fire    func(f *Func, fired *sandbar.Fired, out *sandbar.Out) error

	Total sandbar.Value[any]
	Seen  sandbar.List[any]
	By    sandbar.Map[int]
	later sandbar.EventTimer
	early sandbar.EventTimer
	clock sandbar.ProcessingTimer
	calls sandbar.Counter
}

func (*Func) Describe(description *sandbar.Description) {
	description.Outputs = []string{"out", "late"}
}

func (f *Func) Open() error {
	callback := func(fired *sandbar.Fired, out *sandbar.Out) error { return f.fire(f, fired, out) }
	f.later.OnFire(callback)
	f.clock.OnFire(callback)
	f.early.OnFire(func(fired *sandbar.Fired, out *sandbar.Out) error {
		out.Emit(fired.Key, "early")
		return nil
	})
	return nil
}

func (f *Func) Process(event *sandbar.Event, out *sandbar.Out) error {
	f.calls.Add(1)
	return f.process(f, event, out)
}

func same[T any](t *testing.T, is []T, want ...T) {
	t.Helper()
	if len(is) != len(want) || len(is) > 0 && !reflect.DeepEqual(is, want) {
		t.Errorf("%v is not %v", is, want)
	}
}
