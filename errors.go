package switchgear

import (
	"fmt"
	"time"

	"github.com/datapunk/switchgear/breaker"
)

// ErrNotPermitted is wrapped by every rejection; ErrOpen by those of an open
// circuit.
var (
	ErrNotPermitted = breaker.ErrNotPermitted
	ErrOpen         = breaker.ErrOpen
)

// Reason is why a call was not permitted.
type Reason = breaker.Reason

// NotPermittedError tells a caller that its call was not made, and why.
type NotPermittedError struct {
	Key        Key
	Instance   string // where only one instance was asked for and rejects
	State      State
	Mode       Mode
	Reason     Reason
	RetryAfter time.Duration // when it may be worth asking again; 0 is unknown
	Why        string        // the opening, in words and numbers
}

func (e *NotPermittedError) Error() string {
	s := fmt.Sprintf("call to %s not permitted: circuit is %s, %s", e.Key, e.State, e.Reason)
	if e.Why != "" {
		s += ": " + e.Why
	}
	return s
}

// Is makes errors.Is work with ErrNotPermitted and the sentinel of the reason.
func (e *NotPermittedError) Is(target error) bool {
	return target == ErrNotPermitted || target == e.Reason.Err()
}
