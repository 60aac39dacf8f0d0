package breaker

import (
	"errors"
	"fmt"
	"time"
)

// ErrNotPermitted is matched by every rejection, under errors.Is; the others by
// those of one Reason.
var (
	ErrNotPermitted = errors.New("call not permitted")
	ErrOpen         = errors.New("circuit is open")
	ErrHalfOpen     = errors.New("circuit is half open and no probe permit is left")
	ErrRamp         = errors.New("call is beyond the admitted share")
	ErrConcurrency  = errors.New("too many concurrent calls")
	ErrForced       = errors.New("circuit is forced open")
)

// Reason is why a call was not permitted.
type Reason uint8

const (
	ReasonOpen        Reason = iota // the state is open
	ReasonHalfOpen                  // no probe permit is left
	ReasonRamp                      // beyond the admitted share
	ReasonConcurrency               // MaxConcurrentCalls are in flight
	ReasonForced                    // the mode is forced_open

	reasons
)

var (
	reasonNames  = [...]string{ReasonOpen: "open", ReasonHalfOpen: "half_open", ReasonRamp: "ramp", ReasonConcurrency: "concurrency", ReasonForced: "forced"}
	reasonErrors = [...]error{ReasonOpen: ErrOpen, ReasonHalfOpen: ErrHalfOpen, ReasonRamp: ErrRamp, ReasonConcurrency: ErrConcurrency, ReasonForced: ErrForced}
)

func (r Reason) String() string { return name(reasonNames[:], int(r)) }

// Err is the reason's sentinel, for errors.Is.
func (r Reason) Err() error {
	if r < reasons {
		return reasonErrors[r]
	}
	return ErrNotPermitted
}

// MarshalText gives the reason's word, as in logs and metrics.
func (r Reason) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText reads what MarshalText wrote; any other word is an error.
func (r *Reason) UnmarshalText(text []byte) error {
	i, err := index("reason", reasonNames[:], string(text))
	*r = Reason(i)
	return err
}

// Rejection is what is known of a call that was not permitted.
type Rejection struct {
	State      State
	Mode       Mode
	Reason     Reason
	RetryAfter time.Duration // when it may be worth asking again; 0 is unknown
	Why        string        // the opening, in words and numbers
}

// NotPermittedError is the rejection of a breaker without an Owner.
type NotPermittedError struct{ Rejection }

func (e *NotPermittedError) Error() string {
	s := fmt.Sprintf("call not permitted: circuit is %s, %s", e.State, e.Reason)
	if e.Why != "" {
		s += ": " + e.Why
	}
	return s
}

// Is makes errors.Is work with ErrNotPermitted and the sentinel of the reason.
func (e *NotPermittedError) Is(target error) bool {
	return target == ErrNotPermitted || target == e.Reason.Err()
}

// refresh is how old a cached rejection may be.
const refresh = 20 * time.Millisecond

// standing is a rejection that holds for all calls until an instant, so that they neither lock nor allocate.
type standing struct {
	err    error
	until  time.Duration
	cells  cells // where it is counted, if anywhere but in the core
	reason Reason
	shadow bool // the mode lets these calls through
}
