package sandbar_test

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"sandbar"
)

func TestPointerFinds(t *testing.T) {
	const text = `{"foo": ["bar", {"n": 1.5}], "": 0, "a/b": 1, "m~n": 8, "~1": 9, "null": null, "é": true, "0": "zero"}`
	var document any
	if err := json.Unmarshal([]byte(text), &document); err != nil {
		t.Fatal(err)
	}
	for pointer, want := range map[string]any{
		"": document, "/foo/0": "bar", "/foo/1/n": 1.5, "/": 0.0, "/a~1b": 1.0, "/m~0n": 8.0, "/~01": 9.0, "/é": true,
		"/0": "zero", "/null": nil, "/none": nil, "/foo/2": nil, "/foo/-": nil, "/foo/00": nil, "/foo/+0": nil,
		"/foo/-1": nil, "/foo/n": nil, "/foo/99999999999999999999": nil, "/a~1b/c": nil, "/null/a": nil, "/foo/0/": nil,
	} {
		var is sandbar.Pointer
		if err := is.UnmarshalText([]byte(pointer)); err != nil {
			t.Error(err)
		}
		if found := is.Find(document); !reflect.DeepEqual(found, want) {
			t.Errorf("%q: %v is not %v", pointer, found, want)
		}
	}
	for _, text := range []string{"foo", "foo/bar", "/~", "/~2", "/a~", " "} {
		var is sandbar.Pointer
		if err := is.UnmarshalText([]byte(text)); err == nil || !strings.Contains(err.Error(), "no JSON pointer") {
			t.Errorf("%q: %v", text, err)
		}
	}
}
