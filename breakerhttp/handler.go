package breakerhttp

import (
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"

	"github.com/datapunk/switchgear"
	"github.com/datapunk/switchgear/internal/cause"
	"github.com/datapunk/switchgear/internal/outbound"
)

// proxyStatus is the header that carries the mark of an inherited failure
// (RFC 9209), with parameters of our own.
const (
	proxyStatus = "Proxy-Status"
	originParam = "switchgear-origin="
	hopsParam   = "switchgear-hops="
)

// HandlerOption is a rarer choice of Handler.
type HandlerOption func(*handler)

// WithMaxConcurrentCalls sheds what is above n requests at work at once: 503 with
// a Retry-After of a second. 0, the default, sheds none.
func WithMaxConcurrentCalls(n int) HandlerOption {
	return func(h *handler) { h.most = int64(n) }
}

// Handler lets a server say whose fault its own failure is: where a guarded call
// made for a request has failed or was not permitted, a 5xx answer carries the
// mark that callers read as inherited. Make those calls with the request's
// context.
func Handler(m *switchgear.Manager, next http.Handler, options ...HandlerOption) http.Handler {
	h := &handler{service: m.Service(), next: next}
	for _, o := range options {
		o(h)
	}
	return h
}

type handler struct {
	service string
	next    http.Handler
	most    int64
	atWork  atomic.Int64
}

func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	defer h.atWork.Add(-1)
	if n := h.atWork.Add(1); h.most > 0 && n > h.most {
		w.Header().Set("Retry-After", "1")
		http.Error(w, "maxConcurrentCalls are at work", http.StatusServiceUnavailable)
		return
	}
	ctx, c := cause.Watch(r.Context())
	h.next.ServeHTTP(&marker{ResponseWriter: w, cause: c, service: h.service}, r.WithContext(ctx))
}

// marker adds the mark before the header is written.
type marker struct {
	http.ResponseWriter
	cause   *cause.Cause
	service string
	wrote   bool
}

// Unwrap is for http.ResponseController.
func (w *marker) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *marker) WriteHeader(status int) {
	if !w.wrote && status >= 200 {
		w.wrote = true
		if o := w.cause.Origin(); o != nil && status >= 500 {
			w.Header().Add(proxyStatus, fmt.Sprintf(`%q; error=destination_unavailable; %s%q; %s%d`,
				w.service, originParam, o.Circuit, hopsParam, o.Hops+1))
		}
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *marker) Write(p []byte) (int, error) {
	w.wrote = true
	return w.ResponseWriter.Write(p)
}

// Flush keeps streaming handlers working that look for an http.Flusher.
func (w *marker) Flush() {
	if f, ok := w.ResponseWriter.(http.Flusher); ok {
		w.wrote = true
		f.Flush()
	}
}

// inherited reads the mark of an answer: the failure's origin as the callee
// knows it. A mark that has come too far, or is not well formed, is none.
func inherited(res *http.Response) (o cause.Origin, ok bool) {
	for _, v := range res.Header.Values(proxyStatus) {
		if len(v) > 2048 {
			continue
		}
		if circuit, found := param(v, originParam); found {
			hops, _ := param(v, hopsParam)
			if o, ok = outbound.Mark(circuit, hops); ok {
				return o, true
			}
		}
	}
	return o, false
}

// param finds a parameter's value, quoted or not.
func param(header, name string) (string, bool) {
	_, rest, ok := strings.Cut(header, "; "+name)
	if !ok {
		return "", false
	}
	if quoted, ok := strings.CutPrefix(rest, `"`); ok {
		value, _, closed := strings.Cut(quoted, `"`)
		return value, closed
	}
	value, _, _ := strings.Cut(rest, ";")
	return strings.TrimSpace(value), true
}
