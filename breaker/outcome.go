package breaker

import "time"

// Outcome is what one permitted call came to. The zero Outcome is a success
// whose latency the breaker measures with its own clock.
type Outcome struct {
	Verdict Verdict
	Kind    Kind
	// Attempt is 1 for a first attempt, n for the nth, 0 where it is not known.
	// Control counts first attempts only where it locates faults: retries are
	// correlated with what they retry.
	Attempt uint8
	// Latency of the call, measured by the caller; 0 lets the breaker take the
	// time since the permit, in steps of its clock.
	Latency time.Duration
	// RetryAfter is the callee's own push-back (Retry-After, RetryInfo); 0 is none.
	RetryAfter time.Duration
}

// Verdict says how an outcome counts.
type Verdict uint8

const (
	Success   Verdict = iota
	Failure           // the callee's fault
	Ignored           // neutral: says nothing about the callee; moves nothing
	Inherited         // the callee failed because a guarded call that it made failed
)

var verdictNames = [...]string{Success: "success", Failure: "failure", Ignored: "ignored", Inherited: "inherited"}

func (v Verdict) String() string { return name(verdictNames[:], int(v)) }

// Kind is why a call failed, or why it is ignored.
type Kind uint8

const (
	NoKind Kind = iota
	// Failures.
	Timeout
	Connect
	Reset
	ServerError
	Gateway
	RateLimited
	Application
	// Ignored.
	Canceled
	BadRequest
	CallerDeadline

	Kinds // the number of kinds, for arrays indexed by one
)

var kindNames = [...]string{
	NoKind: "none", Timeout: "timeout", Connect: "connect", Reset: "reset", ServerError: "server_error",
	Gateway: "gateway", RateLimited: "rate_limited", Application: "application",
	Canceled: "canceled", BadRequest: "bad_request", CallerDeadline: "caller_deadline",
}

func (k Kind) String() string { return name(kindNames[:], int(k)) }

// MarshalText gives the kind's word, as in logs and metrics.
func (k Kind) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// UnmarshalText reads what MarshalText wrote; any other word is an error.
func (k *Kind) UnmarshalText(text []byte) error {
	i, err := index("kind", kindNames[:], string(text))
	*k = Kind(i)
	return err
}

// normalize makes what can't be meant mean something safe.
func (o *Outcome) normalize() {
	if o.Kind >= Kinds {
		o.Kind = NoKind
	}
	if o.Verdict > Inherited {
		o.Verdict = Failure
	}
	o.Latency = max(o.Latency, 0)
}
