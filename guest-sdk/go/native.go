//go:build !wasip1

package sandbar

import (
	"fmt"
	"os"
)

// register has nothing to do where there is no Wasm: a test binds plugins of its own.
func register(Processor) {}

// crash goes on with a panic of the author's code.
func crash(value any) { panic(value) }

func write(level uint8, text string) {
	fmt.Fprintln(os.Stderr, []string{"debug:", "info:", "warn:", "error:"}[level], text)
}
