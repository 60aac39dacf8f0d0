package breakergrpc

import (
	"context"
	"strconv"

	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/stats"
)

// watcher tells a call what grpc-go knows and its error does not say: whether
// anything was sent, and whether the status came from the server.
type watcher struct{}

func (watcher) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context   { return ctx }
func (watcher) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }
func (watcher) HandleConn(context.Context, stats.ConnStats)                       {}

func (watcher) HandleRPC(ctx context.Context, e stats.RPCStats) {
	s, _ := ctx.Value(sendingKey{}).(*sending)
	if s == nil {
		return
	}
	switch e := e.(type) {
	case *stats.Begin:
		s.answered.Store(false)
		if !e.IsTransparentRetryAttempt { // of such a try the server has seen nothing
			if n := s.tries.Add(1); n > 1 {
				s.SetAttempt(uint8(min(n, 255)))
			}
		}
	case *stats.OutHeader:
		s.sent.Store(true)
		s.SetAttempt(attempt(e.Header))
	case *stats.InHeader:
		if s.stream {
			s.Answered()
		}
	case *stats.InTrailer:
		s.answered.Store(true)
	}
}

// attempt reads grpc-previous-rpc-attempts, as whoever retries by itself may set
// it: 0, not known, where it is missing. What grpc-go's own retries send does not
// show here: they are counted.
func attempt(md metadata.MD) uint8 {
	v := md.Get("grpc-previous-rpc-attempts")
	if len(v) == 0 {
		return 0
	}
	n, err := strconv.ParseUint(v[0], 10, 8)
	if err != nil {
		return 0
	}
	return uint8(min(n, 254)) + 1
}
