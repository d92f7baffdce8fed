package sandbar

import "errors"

// How says how a call came to nothing.
type How string

// A record is left out and counted, goes to the dead letters, or stops the pipeline; or the call comes again.
const (
	HowSkip       How = "skip"
	HowDeadLetter How = "dead-letter"
	HowFail       How = "fail"
	HowRetry      How = "retry"
)

// Refusal is an error that says what is to become of a record.
type Refusal struct {
	How    How
	Reason string
}

// Error is the reason.
func (r *Refusal) Error() string {
	return r.Reason
}

// Skip leaves the record out, and counts it. When a timer fires, it stops the pipeline.
func Skip(reason string) error {
	return &Refusal{HowSkip, reason}
}

// DeadLetter sends the record to the dead letters. When a timer fires, it stops the pipeline.
func DeadLetter(reason string) error {
	return &Refusal{HowDeadLetter, reason}
}

// Fail stops the pipeline at the record.
func Fail(reason string) error {
	return &Refusal{HowFail, reason}
}

// Retry lets the same call come again after a pause: something that it needs is not there yet.
func Retry(reason string) error {
	return &Refusal{HowRetry, reason}
}

// refused makes a refusal of any error; the outermost error has the text.
func refused(err error) *Refusal {
	if err == nil {
		return nil
	}
	how := HowDeadLetter
	if refusal := (*Refusal)(nil); errors.As(err, &refusal) {
		how = refusal.How
	}
	return &Refusal{how, err.Error()}
}
