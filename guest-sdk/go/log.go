package sandbar

import "fmt"

// Log writes to the plugin's log, with the pipeline's and the operator's name; in a test, to standard error. Too much
// of it is dropped, and counted.
var Log Logger

// Logger is the type of [Log]. Its methods take what [fmt.Sprintf] takes.
type Logger struct{}

// Debug writes what only helps to find a mistake.
func (Logger) Debug(format string, values ...any) { write(0, fmt.Sprintf(format, values...)) }

// Info writes what is worth knowing.
func (Logger) Info(format string, values ...any) { write(1, fmt.Sprintf(format, values...)) }

// Warn writes what may be wrong.
func (Logger) Warn(format string, values ...any) { write(2, fmt.Sprintf(format, values...)) }

// Error writes what is wrong.
func (Logger) Error(format string, values ...any) { write(3, fmt.Sprintf(format, values...)) }
