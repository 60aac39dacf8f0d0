package breakergrpc

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/protoadapt"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/datapunk/switchgear"
	"github.com/datapunk/switchgear/internal/cause"
)

// ServerOption is a rarer choice of ServerOptions.
type ServerOption func(*server)

// WithMaxConcurrentCalls sheds what is above n calls and streams at work at once:
// ResourceExhausted, to be tried again in a second. 0, the default, sheds none.
func WithMaxConcurrentCalls(n int) ServerOption {
	return func(s *server) { s.most = int64(n) }
}

// ServerOptions let a server say whose fault its own failure is: where a guarded
// call made for a call has failed or was not permitted, a failing status carries
// an ErrorInfo that callers read as inherited. Make those calls with the call's
// context.
func ServerOptions(m *switchgear.Manager, options ...ServerOption) []grpc.ServerOption {
	s := &server{service: m.Service()}
	for _, o := range options {
		o(s)
	}
	return []grpc.ServerOption{grpc.ChainUnaryInterceptor(s.unary), grpc.ChainStreamInterceptor(s.stream)}
}

type server struct {
	service string
	most    int64
	atWork  atomic.Int64
}

func (s *server) unary(ctx context.Context, req any, _ *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (any, error) {
	if err := s.enter(); err != nil {
		return nil, err
	}
	defer s.atWork.Add(-1)
	ctx, c := cause.Watch(ctx)
	reply, err := handle(ctx, req)
	return reply, s.onward(err, c)
}

func (s *server) stream(srv any, ss grpc.ServerStream, _ *grpc.StreamServerInfo, handle grpc.StreamHandler) error {
	if err := s.enter(); err != nil {
		return err
	}
	defer s.atWork.Add(-1)
	ctx, c := cause.Watch(ss.Context())
	return s.onward(handle(srv, watched{ss, func() context.Context { return ctx }}), c)
}

// watched is a stream whose guarded calls are watched.
type watched struct {
	grpc.ServerStream
	context func() context.Context
}

func (w watched) Context() context.Context { return w.context() }

// enter counts a call in; an error has not.
func (s *server) enter() error {
	if n := s.atWork.Add(1); s.most <= 0 || n <= s.most {
		return nil
	}
	s.atWork.Add(-1)
	st, err := status.New(codes.ResourceExhausted, "maxConcurrentCalls are at work").WithDetails(&errdetails.RetryInfo{RetryDelay: durationpb.New(time.Second)})
	if err != nil {
		return status.Error(codes.ResourceExhausted, "maxConcurrentCalls are at work")
	}
	return st.Err()
}

// onward adds the mark to a failing status. Marks that a handler passes through
// as they came are taken off: this server says what it knows, no more.
func (s *server) onward(err error, c *cause.Cause) error {
	if err == nil {
		return nil
	}
	st := status.Convert(err)
	if _, has := errors.AsType[interface {
		error
		GRPCStatus() *status.Status
	}](err); !has {
		if np, ok := errors.AsType[*switchgear.NotPermittedError](err); ok {
			st = statusOf(np, np.Key.String())
		} else {
			st = status.FromContextError(err)
		}
	}
	var details []protoadapt.MessageV1
	foreign := false
	for _, d := range st.Details() {
		if info, ok := d.(*errdetails.ErrorInfo); ok && info.GetDomain() == domain && info.GetReason() == inherited {
			foreign = true
			continue
		}
		if message, ok := d.(protoadapt.MessageV1); ok {
			details = append(details, message)
		}
	}
	o := c.Origin()
	if o != nil && failing(st.Code()) {
		details = append(details, mark(s.service, o))
	} else if !foreign {
		return st.Err()
	}
	bare := status.New(st.Code(), st.Message())
	if with, err := bare.WithDetails(details...); err == nil {
		return with.Err()
	}
	return bare.Err()
}
