package cli

import "errors"

// exit ends the program with a status; everything has been said already.
type exit int

func (exit) Error() string { return "" }

// usageError is a mistake in how a command was called, not in what it did.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

func usage(err error) error { return usageError{err} }

// Status is the exit status for what a command returned: 0, 1 for what went
// wrong, 2 for usage.
func Status(err error) int {
	if err == nil {
		return 0
	}
	if code, ok := errors.AsType[exit](err); ok {
		return int(code)
	}
	if _, ok := errors.AsType[usageError](err); ok {
		return 2
	}
	return 1
}
