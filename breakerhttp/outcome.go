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
)

// classify judges an answer, or the lack of one.
func classify(res *http.Response, err error) switchgear.Outcome {
	if err != nil {
		return switchgear.ClassifyError(err)
	}
	s := res.StatusCode
	switch {
	case s < 400:
		return switchgear.Outcome{}
	case s == http.StatusTooManyRequests, s == http.StatusServiceUnavailable && res.Header.Get("Retry-After") != "":
		if _, ok := inherited(res); ok {
			return switchgear.Outcome{Verdict: breaker.Inherited}
		}
		return switchgear.Outcome{Verdict: breaker.Failure, Kind: breaker.RateLimited, RetryAfter: retryAfter(res)}
	case s < 500:
		return switchgear.Outcome{Verdict: breaker.Ignored, Kind: breaker.BadRequest}
	}
	if _, ok := inherited(res); ok {
		return switchgear.Outcome{Verdict: breaker.Inherited}
	}
	switch s {
	case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return switchgear.Outcome{Verdict: breaker.Failure, Kind: breaker.Gateway}
	}
	return switchgear.Outcome{Verdict: breaker.Failure, Kind: breaker.ServerError}
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
	call     *call
	response *http.Response
	reported bool
}

func (b *body) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil {
		b.report(err)
	}
	return n, err
}

func (b *body) Close() error {
	err := b.ReadCloser.Close()
	b.report(nil)
	return err
}

func (b *body) report(err error) {
	if b.reported {
		return
	}
	b.reported = true
	if err == nil || errors.Is(err, io.EOF) {
		b.call.done(b.response, nil, switchgear.Outcome{})
		return
	}
	o := switchgear.ClassifyError(err)
	if o.Kind == breaker.Application {
		o.Kind = breaker.Reset
	}
	b.call.done(b.response, err, o)
}
