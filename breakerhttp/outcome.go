package breakerhttp

import (
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/datapunk/switchgear"
	"github.com/datapunk/switchgear/breaker"
	"github.com/datapunk/switchgear/internal/cause"
	"github.com/datapunk/switchgear/internal/outbound"
)

// classify judges an answer, or the lack of one; the mark is the origin of an
// inherited failure.
func classify(res *http.Response, err error, trusted bool) (switchgear.Outcome, *cause.Origin) {
	if err != nil {
		return broken(err), nil
	}
	o := judge(res)
	if o.Verdict == breaker.Failure && trusted {
		if mark, ok := inherited(res); ok {
			return switchgear.Outcome{Verdict: breaker.Inherited}, &mark
		}
	}
	return o, nil
}

func judge(res *http.Response) switchgear.Outcome {
	s := res.StatusCode
	switch {
	case s < 400:
		return switchgear.Outcome{}
	case s == http.StatusTooManyRequests, s == http.StatusServiceUnavailable && res.Header.Get("Retry-After") != "":
		return switchgear.Outcome{Verdict: breaker.Failure, Kind: breaker.RateLimited, RetryAfter: retryAfter(res)}
	case s < 500:
		return switchgear.Outcome{Verdict: breaker.Ignored, Kind: breaker.BadRequest}
	}
	switch s {
	case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return switchgear.Outcome{Verdict: breaker.Failure, Kind: breaker.Gateway}
	}
	return switchgear.Outcome{Verdict: breaker.Failure, Kind: breaker.ServerError}
}

// broken judges an error of the transport. HTTP/2's are not exported by net/http:
// a stream's is found by its form, a connection's by its text.
func broken(err error) switchgear.Outcome {
	o := switchgear.ClassifyError(err)
	var reset streamError
	if o.Kind == breaker.Application && (errors.As(err, &reset) ||
		strings.Contains(err.Error(), "http2: server sent GOAWAY") || strings.Contains(err.Error(), "http2: client connection lost")) {
		o.Kind = breaker.Reset
	}
	return o
}

// streamError has the form of net/http's own error for RST_STREAM, which lets
// itself be copied into any such struct.
type streamError struct {
	StreamID uint32
	Code     uint32
	Cause    error
}

func (e streamError) Error() string { return "stream error" }

func status(res *http.Response) int {
	if res == nil {
		return 0
	}
	return res.StatusCode
}

// retryAfter reads a callee's push-back: seconds or a date.
func retryAfter(res *http.Response) time.Duration {
	v := res.Header.Get("Retry-After")
	if n, err := strconv.Atoi(v); err == nil && n >= 0 && n <= 86400 {
		return time.Duration(n) * time.Second
	}
	if at, err := http.ParseTime(v); err == nil {
		return min(max(0, time.Until(at)), 24*time.Hour)
	}
	return 0
}

// ended reports whether the outcome is known with the header: there is no body,
// or one that may never end.
func ended(res *http.Response) bool {
	return res.Body == nil || res.Body == http.NoBody || res.ContentLength == 0 ||
		res.StatusCode == http.StatusSwitchingProtocols ||
		strings.HasPrefix(res.Header.Get("Content-Type"), "text/event-stream")
}

// body reports the outcome when it has been read to its end, fails or is closed.
type body struct {
	io.ReadCloser
	call   *outbound.Call
	status int
}

// guard takes over the outcome of an answer that has a body.
func guard(c *outbound.Call, res *http.Response) io.ReadCloser {
	return &body{ReadCloser: res.Body, call: c, status: res.StatusCode}
}

func (b *body) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	switch {
	case err == nil:
	case errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF):
		b.call.Done(nil, b.status, switchgear.Outcome{}, nil)
	default:
		o := broken(err)
		if o.Kind == breaker.Application {
			o.Kind = breaker.Reset
		}
		b.call.Done(err, b.status, o, nil)
	}
	return n, err
}

func (b *body) Close() error {
	err := b.ReadCloser.Close()
	b.call.Done(nil, b.status, switchgear.Outcome{}, nil)
	return err
}
