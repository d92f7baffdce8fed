package sandbar_test

import (
	"encoding/json"
	"strings"
	"testing"

	"sandbar"
)

func TestDurationIsNumberAndUnit(t *testing.T) {
	for text, want := range map[string]sandbar.Duration{
		"0s": 0, "1ms": 1, "10s": 10_000, "-2m": -2 * sandbar.Minute, "1h": 3_600_000, "7d": 7 * sandbar.Day,
		"1000000000000000ms": 1_000_000_000_000_000, "-11574074d": -11574074 * sandbar.Day,
	} {
		var is sandbar.Duration
		if err := json.Unmarshal([]byte(`"`+text+`"`), &is); err != nil || is != want {
			t.Error(text, is, err)
		}
	}
	for _, text := range []string{
		"", "s", "10", "10 s", "+1s", "--1s", "1.5s", "1s ", "1S", "1w", "é", "1é", "99999999999d", "-", "-s", "1_0s",
		"99999999999999999999ms", "-9223372036854775808ms", "1000000000000001ms",
	} {
		var is sandbar.Duration
		err := is.UnmarshalText([]byte(text))
		if err == nil || !strings.HasPrefix(err.Error(), `"`+text+`" is no duration`) {
			t.Error(text, is, err)
		}
	}
}
