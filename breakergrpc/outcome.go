package breakergrpc

import (
	"errors"
	"strconv"
	"strings"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/datapunk/switchgear"
	"github.com/datapunk/switchgear/breaker"
	"github.com/datapunk/switchgear/internal/cause"
	"github.com/datapunk/switchgear/internal/outbound"
)

// domain of the ErrorInfo details that switchgear writes, and their reasons.
const (
	domain       = "switchgear"
	inherited    = "INHERITED"
	notPermitted = "NOT_PERMITTED"
)

// table says how a server's code counts. OK is a success; what is not here is the
// caller's fault: ignored, bad_request. The full table, with what grpc-go says by
// itself, is in docs/errors.md.
var table = map[codes.Code]breaker.Kind{
	codes.Canceled:          breaker.Application, // the caller still waits: the server gave up
	codes.Unknown:           breaker.ServerError,
	codes.Internal:          breaker.ServerError,
	codes.DataLoss:          breaker.ServerError,
	codes.Unavailable:       breaker.Gateway,
	codes.DeadlineExceeded:  breaker.Gateway, // the server's deadline: the caller's own is not over
	codes.ResourceExhausted: breaker.RateLimited,
}

// failing reports whether a server's code says that the server has failed.
func failing(c codes.Code) bool { return table[c] != breaker.NoKind }

func (s *sending) judge(err error) (switchgear.Outcome, codes.Code, *cause.Origin) {
	if err == nil {
		return switchgear.Outcome{}, codes.OK, nil
	}
	if errors.Is(err, switchgear.ErrNotPermitted) {
		// A breaker further in did not permit the call.
		return switchgear.Outcome{Verdict: breaker.Inherited}, codes.Unavailable, nil
	}
	st := status.Convert(err)
	code := st.Code()
	if !s.answered.Load() {
		return s.unanswered(st), code, nil
	}
	if o, ok := s.over(code); ok {
		return o, code, nil
	}
	kind := table[code]
	if kind == breaker.NoKind {
		return switchgear.Outcome{Verdict: breaker.Ignored, Kind: breaker.BadRequest}, code, nil
	}
	o := switchgear.Outcome{Verdict: breaker.Failure, Kind: kind}
	var mark *cause.Origin
	for _, d := range st.Details() {
		switch d := d.(type) {
		case *errdetails.RetryInfo:
			if code == codes.Unavailable || code == codes.ResourceExhausted {
				o.Kind, o.RetryAfter = breaker.RateLimited, min(max(0, d.GetRetryDelay().AsDuration()), 24*time.Hour)
			}
		case *errdetails.ErrorInfo:
			if d.GetDomain() == domain && d.GetReason() == inherited && s.trusted && mark == nil {
				if m, ok := outbound.Mark(d.GetMetadata()["origin"], d.GetMetadata()["hops"]); ok {
					mark = &m
				}
			}
		}
	}
	if mark != nil {
		return switchgear.Outcome{Verdict: breaker.Inherited}, code, mark
	}
	return o, code, nil
}

// over judges the end of the caller's own patience.
func (s *sending) over(code codes.Code) (switchgear.Outcome, bool) {
	switch {
	case code == codes.Canceled && s.ctx() != nil:
		return switchgear.Outcome{Verdict: breaker.Ignored, Kind: breaker.Canceled}, true
	case code == codes.DeadlineExceeded && !s.deadline.IsZero() && !time.Now().Before(s.deadline):
		return switchgear.Outcome{Verdict: breaker.Failure, Kind: breaker.Timeout}, true
	}
	return switchgear.Outcome{}, false
}

// unanswered judges a status that grpc-go made itself.
func (s *sending) unanswered(st *status.Status) switchgear.Outcome {
	if o, ok := s.over(st.Code()); ok {
		return o
	}
	failure := switchgear.Outcome{Verdict: breaker.Failure, Kind: breaker.Reset}
	switch {
	case st.Code() == codes.ResourceExhausted, st.Code() == codes.Unimplemented:
		// A limit of the client's own, such as the size of a message.
		return switchgear.Outcome{Verdict: breaker.Ignored, Kind: breaker.BadRequest}
	case strings.Contains(st.Message(), "unexpected HTTP status code received from server"):
		failure.Kind = breaker.Gateway // a proxy that does not speak gRPC
	case !s.sent.Load() && st.Code() == codes.Unavailable:
		failure.Kind = breaker.Connect
	case !s.sent.Load():
		// The request could not be made: wrong message, wrong credentials.
		return switchgear.Outcome{Verdict: breaker.Ignored, Kind: breaker.BadRequest}
	}
	return failure
}

// mark is the detail that carries an inherited failure onward.
func mark(service string, o *cause.Origin) *errdetails.ErrorInfo {
	return &errdetails.ErrorInfo{Domain: domain, Reason: inherited, Metadata: map[string]string{
		"service": service, "origin": o.Circuit, "hops": strconv.Itoa(o.Hops + 1),
	}}
}
