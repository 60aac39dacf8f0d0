// Package failures is one table of what can go wrong with a call, and a peer on
// loopback that does each of it over a real socket, in HTTP/1.1, HTTP/2 and gRPC.
// Every adapter runs it and must come to the same outcomes.
package failures

import (
	"time"

	"github.com/datapunk/switchgear/breaker"
)

// Failure is one row.
type Failure struct {
	Name string
	// What the caller does meanwhile.
	Timeout time.Duration // its own deadline, 0 is none
	Cancel  bool          // it gives up while it waits
	// What it comes to.
	Verdict    breaker.Verdict
	Kind       breaker.Kind
	RetryAfter time.Duration

	way    way
	status int // of HTTP, and gRPC's for the same
	code   int
	after  int // seconds of Retry-After, RetryInfo
}

type way int

const (
	answers        way = iota // header, body and end
	bare                      // a header only: HTTP without a body, gRPC's trailers-only
	unresolved                // the name is not known
	refuses                   // nobody listens
	hangs                     // nothing comes
	resetsInHeader            // the connection breaks before the header
	resetsInBody              // and after it
	resetsStream              // RST_STREAM; HTTP/1.1 can only end the connection
	goesAway                  // GOAWAY, and the connection ends
)

// Table of failures.
var Table = []Failure{
	{Name: "none", way: answers, status: 200},
	{Name: "DNS failure", way: unresolved, Verdict: breaker.Failure, Kind: breaker.Connect},
	{Name: "refused", way: refuses, Verdict: breaker.Failure, Kind: breaker.Connect},
	{Name: "reset in the header", way: resetsInHeader, Verdict: breaker.Failure, Kind: breaker.Reset},
	{Name: "reset in the body", way: resetsInBody, status: 200, Verdict: breaker.Failure, Kind: breaker.Reset},
	{Name: "RST_STREAM", way: resetsStream, Verdict: breaker.Failure, Kind: breaker.Reset},
	{Name: "GOAWAY", way: goesAway, Verdict: breaker.Failure, Kind: breaker.Reset},
	{Name: "own deadline", way: hangs, Timeout: 50 * time.Millisecond, Verdict: breaker.Failure, Kind: breaker.Timeout},
	{Name: "server's deadline", way: answers, status: 504, code: 4, Timeout: time.Minute, Verdict: breaker.Failure, Kind: breaker.Gateway},
	{Name: "cancelled", way: hangs, Cancel: true, Verdict: breaker.Ignored, Kind: breaker.Canceled},
	{Name: "bad request", way: answers, status: 400, code: 3, Verdict: breaker.Ignored, Kind: breaker.BadRequest},
	{Name: "server's error", way: answers, status: 500, code: 13, Verdict: breaker.Failure, Kind: breaker.ServerError},
	{Name: "unavailable", way: answers, status: 503, code: 14, Verdict: breaker.Failure, Kind: breaker.Gateway},
	{Name: "429, too many requests", way: answers, status: 429, code: 8, Verdict: breaker.Failure, Kind: breaker.RateLimited},
	{Name: "429 with Retry-After", way: answers, status: 429, code: 8, after: 2, Verdict: breaker.Failure, Kind: breaker.RateLimited, RetryAfter: 2 * time.Second},
	{Name: "503 with Retry-After", way: answers, status: 503, code: 14, after: 1, Verdict: breaker.Failure, Kind: breaker.RateLimited, RetryAfter: time.Second},
	{Name: "trailers-only error", way: bare, status: 500, code: 13, Verdict: breaker.Failure, Kind: breaker.ServerError},
}

// Dialect is what a peer speaks.
type Dialect string

const (
	HTTP1 Dialect = "HTTP/1.1"
	HTTP2 Dialect = "HTTP/2"
	GRPC  Dialect = "gRPC"
)
