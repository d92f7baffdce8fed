package sandbar

import (
	"fmt"
	"strconv"
	"strings"
)

// Pointer is a JSON pointer (RFC 6901), such as "/user/age" or "/tags/0"; "~1" is a slash in a name, "~0" a tilde. As a
// field of a plugin it is read from such a text. The empty one points to the whole document.
type Pointer struct{ names []string }

var unescaped = strings.NewReplacer("~1", "/", "~0", "~")

// UnmarshalText reads a pointer, as [encoding/json] wants it.
func (p *Pointer) UnmarshalText(text []byte) error {
	said := string(text)
	escapes := strings.Count(said, "~0") + strings.Count(said, "~1")
	if said != "" && said[0] != '/' || strings.Count(said, "~") != escapes {
		return fmt.Errorf("%q is no JSON pointer: it wants a slash before each name, such as \"/user/age\"", text)
	}
	p.names = strings.Split(said, "/")[1:]
	for i, name := range p.names {
		p.names[i] = unescaped.Replace(name)
	}
	return nil
}

// Find returns what the pointer points to in a document, which [Event.JSON] read into an `any`: a float64, a string, a
// bool, an []any or a map[string]any; nil if there is none, or if it is null.
func (p Pointer) Find(document any) any {
	for _, name := range p.names {
		switch parent := document.(type) {
		case map[string]any:
			document = parent[name]
		case []any:
			index, err := strconv.Atoi(name)
			if err != nil || strconv.Itoa(index) != name || index < 0 || index >= len(parent) {
				return nil
			}
			document = parent[index]
		default:
			return nil
		}
	}
	return document
}
