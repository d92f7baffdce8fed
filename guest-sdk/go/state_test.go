package sandbar_test

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"sandbar"
	"sandbar/sandbartest"
)

func entries(plugin *Func) (entries []string) {
	for key, n := range plugin.By.Scan("") {
		entries = append(entries, fmt.Sprintf("%s=%d", key, n))
	}
	return entries
}

func TestStateIsOfTheKey(t *testing.T) {
	plugin, host := open(t, func(f *Func, event *sandbar.Event, out *sandbar.Out) error {
		n, _ := f.Total.Get()
		f.Total.Set(map[string]any{"of": string(event.Key), "before": n != nil})
		f.Seen.Push(string(event.Value))
		again, _ := f.Total.Get()
		out.Emit(event.Key, again)
		return nil
	})
	for _, key := range []string{"a", "b", "a", ""} {
		host.Push(key, key, 0)
	}
	same(t, host.Lines(), `a {"before":false,"of":"a"}`, `b {"before":false,"of":"b"}`, `a {"before":true,"of":"a"}`,
		` {"before":false,"of":""}`)
	host.Key("a")
	same(t, plugin.Seen.Items(), any("a"), any("a"))
	plugin.Seen.Clear()
	plugin.Total.Delete()
	if total, is := plugin.Total.Get(); is || len(plugin.Seen.Items()) > 0 {
		t.Error(total, plugin.Seen.Items())
	}
	host.Key("b")
	same(t, plugin.Seen.Items(), any("b"))
}

func TestMapIsInOrderOfKeys(t *testing.T) {
	plugin, host := open(t, nil)
	host.Key("k")
	for i, key := range []string{"b", "é", "ab", "", "a", "aa"} {
		plugin.By.Put(key, i)
	}
	same(t, entries(plugin), "=3", "a=4", "aa=5", "ab=2", "b=0", "é=1")
	var keys []string
	for key := range plugin.By.Scan("a") {
		keys = append(keys, key)
		plugin.By.Delete(key)
		if key == "aa" {
			break
		}
	}
	same(t, keys, "a", "aa")
	same(t, entries(plugin), "=3", "ab=2", "b=0", "é=1")
	if n, is := plugin.By.Get("é"); n != 1 || !is {
		t.Error(n, is)
	}
	plugin.By.Clear()
	if n, is := plugin.By.Get("é"); is || entries(plugin) != nil {
		t.Error(n, is)
	}
}

func TestScanGoesThroughManyPages(t *testing.T) {
	plugin, host := open(t, nil)
	host.Key("k")
	for i := range 2500 {
		plugin.By.Put(fmt.Sprintf("%04d", i), i)
	}
	want := 0
	for key, n := range plugin.By.Scan("") {
		if n != want || key != fmt.Sprintf("%04d", want) {
			t.Fatal(key, n, want)
		}
		want++
	}
	if want != 2500 {
		t.Error(want)
	}
}

func TestRecordWithoutKeyHasNoState(t *testing.T) {
	_, host := open(t, func(f *Func, event *sandbar.Event, out *sandbar.Out) error {
		f.By.Put("a", 1)
		f.Seen.Push(1)
		f.Total.Set(1)
		f.later.Set(0)
		_, is := f.Total.Get()
		out.Emit("is", is)
		if event.Key == nil && (is || len(f.Seen.Items()) > 0) {
			panic("it has state")
		}
		return nil
	})
	host.Push("", "", 0)
	host.Push(nil, "", 0)
	same(t, host.Lines(), "is true")
	same(t, host.Refused(),
		sandbartest.Refused{Record: 1, How: sandbar.HowDeadLetter, Reason: "the record has no key"})
	same(t, host.Timers(), sandbartest.Timer{Name: "later"})
}

// Other reads what Func wrote as something else.
type Other struct{ Total sandbar.Value[int] }

func (o *Other) Process(event *sandbar.Event, out *sandbar.Out) error {
	n, is := o.Total.Get()
	out.Emit(event.Key, []any{n, is})
	return nil
}

func TestRestartKeepsStateAlone(t *testing.T) {
	_, host := open(t, func(f *Func, event *sandbar.Event, _ *sandbar.Out) error {
		var value any
		err := event.JSON(&value)
		f.Total.Set(value)
		return err
	})
	host.Push("a", "7", 0)
	host.Push("b", `"text"`, 0)
	if err := host.Restart(&Other{}, ""); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"a", "b", "c"} {
		host.Push(key, "", 0)
	}
	same(t, host.Lines(), "a [7,true]", "c [0,false]")
	refused := host.Refused()
	if len(refused) != 1 || !strings.HasPrefix(refused[0].Reason, `store "total": json: cannot unmarshal string`) {
		t.Error(refused)
	}
}

func TestLimitsPanic(t *testing.T) {
	plugin, host := open(t, func(f *Func, _ *sandbar.Event, _ *sandbar.Out) error {
		f.Total.Get()
		return nil
	})
	for name, over := range map[string]func(){
		"value":        func() { plugin.Total.Set(strings.Repeat("v", 1<<20)) },
		"user key":     func() { plugin.By.Get(strings.Repeat("k", 4<<10+1)) },
		"key":          func() { host.Push(strings.Repeat("k", 4<<10+1), "", 0) },
		"another kind": func() { host.Clear(0) },
	} {
		func() {
			defer func() {
				if text, _ := recover().(string); !strings.Contains(text, name) {
					t.Errorf("%s: %q", name, text)
				}
			}()
			host.Key("k")
			over()
		}()
	}
	host.Key("k")
	plugin.Total.Set(strings.Repeat("v", 1<<20-2))
	if value, _ := plugin.Total.Get(); reflect.ValueOf(value).Len() != 1<<20-2 {
		t.Error("a value of 1 MiB is kept")
	}
}
