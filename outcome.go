package switchgear

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"syscall"

	"github.com/datapunk/switchgear/breaker"
)

// The engine's words.
type (
	// State is what a breaker has calculated or was told.
	State = breaker.State
	// Mode is what it does with its state.
	Mode = breaker.Mode
	// Outcome is what a call came to; the zero Outcome is a success.
	Outcome = breaker.Outcome
	// Verdict says how an outcome counts.
	Verdict = breaker.Verdict
	// Kind is why a call failed or is ignored.
	Kind = breaker.Kind
	// Window is what a Strategy judges.
	Window = breaker.Window
)

const (
	Closed   = breaker.Closed
	Open     = breaker.Open
	HalfOpen = breaker.HalfOpen

	Enforce     = breaker.Enforce
	MetricsOnly = breaker.MetricsOnly
	Off         = breaker.Off
	ForcedOpen  = breaker.ForcedOpen

	Success   = breaker.Success
	Failure   = breaker.Failure
	Ignored   = breaker.Ignored
	Inherited = breaker.Inherited

	Timeout        = breaker.Timeout
	Connect        = breaker.Connect
	Reset          = breaker.Reset
	ServerError    = breaker.ServerError
	Gateway        = breaker.Gateway
	RateLimited    = breaker.RateLimited
	Application    = breaker.Application
	Canceled       = breaker.Canceled
	BadRequest     = breaker.BadRequest
	CallerDeadline = breaker.CallerDeadline
)

// Result is what a call came to, before it is judged.
type Result struct {
	// Err of the call; nil where an answer came.
	Err error
	// Status is the answer's HTTP or gRPC status code; 0 where there is none.
	Status int
	// Default is switchgear's own judgement, to return or to change.
	Default Outcome
}

// ClassifyError is switchgear's own judgement of a call by its error alone.
func ClassifyError(err error) Outcome {
	var np *NotPermittedError
	var dns *net.DNSError
	var op *net.OpError
	switch {
	case err == nil:
		return Outcome{}
	case errors.As(err, &np):
		// A breaker further in did not permit a call: the failure is that circuit's.
		return Outcome{Verdict: Inherited}
	case errors.Is(err, context.Canceled):
		return Outcome{Verdict: Ignored, Kind: Canceled}
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded):
		return Outcome{Verdict: Failure, Kind: Timeout}
	case errors.As(err, &dns), errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return Outcome{Verdict: Failure, Kind: Connect}
	case errors.As(err, &op) && op.Op == "dial":
		if op.Timeout() {
			return Outcome{Verdict: Failure, Kind: Timeout}
		}
		return Outcome{Verdict: Failure, Kind: Connect}
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return Outcome{Verdict: Failure, Kind: Reset}
	}
	var timeout interface{ Timeout() bool }
	if errors.As(err, &timeout) && timeout.Timeout() {
		return Outcome{Verdict: Failure, Kind: Timeout}
	}
	return Outcome{Verdict: Failure, Kind: Application}
}
