package store

import (
	"errors"
	"fmt"
	"time"
)

// ErrUnavailable is an error of a store that does not answer: nothing is known of
// what became of the change.
var ErrUnavailable = errors.New("the store does not answer")

// ErrInvalid is an error of a change that can't be made, whatever is stored.
var ErrInvalid = errors.New("not valid")

// ConflictError says that a record has another version than the one that a
// change was made from.
type ConflictError struct {
	Kind, Name string
	Expected   uint64
	Current    Record // its version is 0 where there never was one
}

func (e *ConflictError) Error() string {
	now := fmt.Sprintf("it has version %d, by %s", e.Current.Version, e.Current.Author)
	switch {
	case e.Current.Version == 0:
		now = "there is none"
	case e.Current.Deleted:
		now = fmt.Sprintf("it was deleted with version %d, by %s", e.Current.Version, e.Current.Author)
	}
	if e.Expected == 0 {
		return fmt.Sprintf("%s %q: expected that there is none, and %s: read it and decide again", e.Kind, e.Name, now)
	}
	return fmt.Sprintf("%s %q: expected version %d, and %s: read it and decide again", e.Kind, e.Name, e.Expected, now)
}

// NotFoundError says that there is no such record.
type NotFoundError struct{ Kind, Name string }

func (e *NotFoundError) Error() string { return fmt.Sprintf("there is no %s %q", e.Kind, e.Name) }

// LimitError says that a bound of a kind would be passed.
type LimitError struct {
	Kind string
	What string // what there would be too much of, with the bound
	// RetryAfter is when it is worth to try again; 0 is not before something is
	// deleted or made smaller.
	RetryAfter time.Duration
}

func (e *LimitError) Error() string {
	if e.RetryAfter > 0 {
		return fmt.Sprintf("%s: %s: try again in %v", e.Kind, e.What, e.RetryAfter.Round(10*time.Millisecond))
	}
	return fmt.Sprintf("%s: %s", e.Kind, e.What)
}

func invalid(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrInvalid, fmt.Sprintf(format, args...))
}

func unavailable(doing, kind, name string, err error) error {
	return fmt.Errorf("%s %s %q: %w: %w", doing, kind, name, ErrUnavailable, err)
}
