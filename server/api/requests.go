package api

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strings"
	"time"

	"connectrpc.com/connect"
)

// Requests gives each RPC an id, logs how it ended, and gives errors the form of
// this API. A handler that panics costs its caller an internal error.
func Requests(log *slog.Logger) connect.Interceptor { return &requests{log} }

type requests struct{ log *slog.Logger }

// requestHeader names a request in answers and, where a caller wants an id of its
// own, in the question.
const requestHeader = "Switchgear-Request-Id"

func (r *requests) WrapUnary(next connect.UnaryFunc) connect.UnaryFunc {
	return func(ctx context.Context, q connect.AnyRequest) (resp connect.AnyResponse, err error) {
		id, began := requestID(q.Header()), time.Now()
		defer func() {
			if p := recover(); p != nil {
				err = panicked(p)
			}
			if err != nil {
				resp, err = nil, r.failed(ctx, q.Spec().Procedure, id, began, err)
				return
			}
			r.log.Debug("request was answered", "request_id", id, "procedure", q.Spec().Procedure, "took", time.Since(began))
			resp.Header().Set(requestHeader, id)
		}()
		return next(ctx, q)
	}
}

func (r *requests) WrapStreamingHandler(next connect.StreamingHandlerFunc) connect.StreamingHandlerFunc {
	return func(ctx context.Context, conn connect.StreamingHandlerConn) (err error) {
		id, began := requestID(conn.RequestHeader()), time.Now()
		conn.ResponseHeader().Set(requestHeader, id)
		defer func() {
			if p := recover(); p != nil {
				err = panicked(p)
			}
			if err != nil {
				err = r.failed(ctx, conn.Spec().Procedure, id, began, err)
				return
			}
			r.log.Debug("stream has ended", "request_id", id, "procedure", conn.Spec().Procedure, "took", time.Since(began))
		}()
		return next(ctx, conn)
	}
}

func (r *requests) WrapStreamingClient(next connect.StreamingClientFunc) connect.StreamingClientFunc {
	return next
}

// failed logs an error with what its caller is not told, and gives it its form.
func (r *requests) failed(ctx context.Context, procedure, id string, began time.Time, err error) error {
	out := answer(err, id)
	level := slog.LevelInfo
	switch out.Code() {
	case connect.CodeInternal:
		level = slog.LevelError
	case connect.CodeCanceled:
		level = slog.LevelDebug
	}
	r.log.Log(ctx, level, "request failed", "request_id", id, "procedure", procedure, "code", codeWords[out.Code()], "took", time.Since(began), "error", err)
	return out
}

func panicked(p any) error { return fmt.Errorf("panic: %v\n%s", p, debug.Stack()) }

// requestID is the caller's, where it is one, or a new one.
func requestID(h http.Header) string {
	id := h.Get(requestHeader)
	odd := func(r rune) bool {
		return (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && r != '-' && r != '_'
	}
	if id == "" || len(id) > maxValue || strings.ContainsFunc(id, odd) {
		return strings.ToLower(rand.Text()[:16])
	}
	return id
}
