package breakergrpc

import (
	"errors"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/protoadapt"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/datapunk/switchgear"
)

// rejected is a *switchgear.NotPermittedError that is a status, too: Unavailable,
// with an ErrorInfo that names circuit, state and reason, and RetryInfo where
// there is a time worth waiting.
type rejected struct {
	error
	status *status.Status
}

func (e *rejected) Unwrap() error              { return e.error }
func (e *rejected) GRPCStatus() *status.Status { return e.status }

// rejection gives the error its status.
func rejection(b *switchgear.Breaker, err error) error {
	np, ok := errors.AsType[*switchgear.NotPermittedError](err)
	if !ok {
		return err
	}
	return &rejected{err, statusOf(np, b.Circuit().ID.String())}
}

func statusOf(np *switchgear.NotPermittedError, circuit string) *status.Status {
	st := status.New(codes.Unavailable, np.Error())
	details := []protoadapt.MessageV1{&errdetails.ErrorInfo{Domain: domain, Reason: notPermitted, Metadata: map[string]string{
		"circuit": circuit, "state": np.State.String(), "reason": np.Reason.String(),
	}}}
	if np.RetryAfter > 0 {
		details = append(details, &errdetails.RetryInfo{RetryDelay: durationpb.New(np.RetryAfter)})
	}
	if with, err := st.WithDetails(details...); err == nil {
		return with
	}
	return st
}
