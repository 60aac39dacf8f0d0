package api

import (
	"context"
	"errors"
	"fmt"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"

	apiv1 "github.com/datapunk/switchgear/server/gen/switchgear/api/v1"
)

// Problem is an error with everything that its answer tells. Handlers return it;
// the interceptor of Requests gives it its wire form.
type Problem struct {
	Code         connect.Code
	Field, Value string // what in the request is wrong, if anything is
	Advice       string // what to do about it
	Err          error
	Details      []proto.Message // beside the one that every error has
}

func (p *Problem) Error() string { return p.Err.Error() }

func (p *Problem) Unwrap() error { return p.Err }

// As lets errors.As find Connect's own error in it, with the code alone.
func (p *Problem) As(target any) bool {
	e, ok := target.(**connect.Error)
	if ok {
		*e = connect.NewError(p.Code, p.Err)
	}
	return ok
}

// maxValue bounds how much of a request an error says back.
const maxValue = 64

// badField is a problem with one field of a request. The text says what is wanted.
func badField(field string, value any, format string, args ...any) error {
	err := fmt.Errorf(format, args...)
	return &Problem{Code: connect.CodeInvalidArgument, Field: field, Value: cut(fmt.Sprint(value), maxValue), Advice: "correct " + field + " and ask again", Err: err}
}

// codeWords are the few codes that the API has, for those of Connect.
var codeWords = map[connect.Code]string{
	connect.CodeCanceled:           "unavailable",
	connect.CodeUnknown:            "internal",
	connect.CodeInvalidArgument:    "invalid",
	connect.CodeDeadlineExceeded:   "unavailable",
	connect.CodeNotFound:           "not_found",
	connect.CodeAlreadyExists:      "conflict",
	connect.CodePermissionDenied:   "forbidden",
	connect.CodeResourceExhausted:  "too_large",
	connect.CodeFailedPrecondition: "conflict",
	connect.CodeAborted:            "conflict",
	connect.CodeOutOfRange:         "invalid",
	connect.CodeUnimplemented:      "not_found",
	connect.CodeInternal:           "internal",
	connect.CodeUnavailable:        "unavailable",
	connect.CodeDataLoss:           "internal",
	connect.CodeUnauthenticated:    "unauthenticated",
}

// advices are for errors that bring none of their own.
var advices = map[string]string{
	"invalid":         "correct the request and ask again",
	"unauthenticated": "say who you are",
	"forbidden":       "ask somebody who may",
	"not_found":       "list what there is",
	"conflict":        "read what stands now and decide again",
	"too_large":       "ask for less, or later",
	"unavailable":     "ask again in a moment, or another daemon",
	"internal":        "look for the request id in the daemon's log",
}

// answer gives err the form that it travels in, with the request's id. What is not
// meant for the caller becomes an internal error: its text is for the log.
func answer(err error, id string) *connect.Error {
	detail := &apiv1.ErrorDetail{RequestId: id}
	out := connect.NewError(connect.CodeInternal, errors.New("internal error; request id "+id))
	var p *Problem
	var e *connect.Error
	switch {
	case errors.As(err, &p):
		out = connect.NewError(p.Code, p.Err)
		detail.Field, detail.Value, detail.Advice = p.Field, p.Value, p.Advice
		for _, m := range p.Details {
			if d, err := connect.NewErrorDetail(m); err == nil {
				out.AddDetail(d)
			}
		}
	case errors.Is(err, context.Canceled):
		out = connect.NewError(connect.CodeCanceled, errors.New("the caller has left"))
	case errors.Is(err, context.DeadlineExceeded):
		out = connect.NewError(connect.CodeDeadlineExceeded, errors.New("it took longer than the caller waits"))
	case errors.As(err, &e) && e.Code() != connect.CodeUnknown && e.Code() != connect.CodeInternal:
		out = e
		for _, d := range e.Details() {
			if v, err := d.Value(); err == nil {
				if before, ok := v.(*apiv1.ErrorDetail); ok {
					before.RequestId = id
					return e // it has said everything
				}
			}
		}
	}
	detail.Code = codeWords[out.Code()]
	if detail.Advice == "" {
		detail.Advice = advices[detail.Code]
	}
	if d, err := connect.NewErrorDetail(detail); err == nil {
		out.AddDetail(d)
	}
	out.Meta().Set(requestHeader, id)
	return out
}
