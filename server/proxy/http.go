package proxy

import (
	"context"
	"io"
	"net/http"
	"net/http/httputil"
	"time"
)

const (
	sourceLimit = 64
	hungLimit   = 1 << 20 // of a hanging request's body, so that its caller's leaving is noticed
)

func (p *Proxy) serveHTTP() {
	base := &http.Transport{MaxIdleConnsPerHost: 256, DisableCompression: true}
	pass := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(p.target)
			r.Out.Host = r.In.Host
		},
		Transport:     base,
		FlushInterval: -1,
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, _ error) {
			setEffect(r, Broken)
			if r.Context().Err() != nil {
				setEffect(r, Left)
			}
			w.WriteHeader(http.StatusBadGateway)
		},
	}
	p.server = &http.Server{
		Handler:           p.handler(pass),
		ReadHeaderTimeout: 30 * time.Second,
	}
	p.work.Go(func() {
		p.server.Serve(p.gate) //nolint:errcheck // it ends when the gate is closed, which is wanted
		base.CloseIdleConnections()
	})
}

func (p *Proxy) handler(pass http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !p.begin() {
			panic(http.ErrAbortHandler)
		}
		defer p.work.Done()
		source := r.Header.Get(p.config.SourceHeader)
		n := p.truth.arrive(source[:min(len(source), sourceLimit)])
		answer, effect := &recorder{ResponseWriter: w}, Broken
		defer func() { p.truth.end(n, effect, answer.status) }()
		p.serve(answer, r, pass, &effect)
		switch effect {
		case Reset:
			// Only a connection of HTTP/1 can be taken over; h2c isn't served here.
			if c, _, err := http.NewResponseController(w).Hijack(); err == nil {
				reset(c)
			}
		case Hung, Left:
			panic(http.ErrAbortHandler)
		}
	})
}

// serve says in effect how the request ended, also where it panics: the reverse
// proxy does when the target breaks off within a body.
func (p *Proxy) serve(w *recorder, r *http.Request, pass http.Handler, effect *Effect) {
	f, changed := p.now()
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	defer context.AfterFunc(p.ctx, cancel)()

	if f.Hang {
		io.CopyN(io.Discard, r.Body, hungLimit) //nolint:errcheck // read only to hear the caller leave
		select {
		case <-ctx.Done():
		case <-changed:
		}
		*effect = Hung
		return
	}
	share := p.draw() * 100
	pause, ok := p.pause(f), true
	if share >= f.FailPercent+f.ResetPercent {
		var turn time.Duration
		turn, ok = p.queued(f)
		pause = max(pause, turn)
	}
	if pause > 0 {
		p.truth.delayed()
		if !wait(ctx, pause) {
			*effect = Left
			return
		}
	}
	switch {
	case share < f.ResetPercent:
		*effect = Reset
		return
	case share < f.FailPercent+f.ResetPercent:
		http.Error(w, "failed by the fault proxy", f.status())
		*effect = Failed
		return
	case !ok:
		http.Error(w, "beyond the capacity that the fault proxy leaves", f.status())
		*effect = QueueFull
		return
	}
	if f.Drip > 0 {
		w.drip, w.ctx = f.Drip, ctx
	}
	*effect = Passed
	aborted := true
	defer func() {
		switch {
		case aborted && r.Context().Err() != nil:
			*effect = Left
		case aborted:
			*effect = Broken
		}
	}()
	pass.ServeHTTP(w, r.WithContext(context.WithValue(ctx, effectKey{}, effect)))
	aborted = false
}

type effectKey struct{}

func setEffect(r *http.Request, e Effect) {
	if to, ok := r.Context().Value(effectKey{}).(*Effect); ok {
		*to = e
	}
}

// recorder keeps the status, and lets a body drip.
type recorder struct {
	http.ResponseWriter
	status int
	drip   int             // bytes a second; 0 is all at once
	ctx    context.Context //nolint:containedctx // the request's own; Write is given none
}

func (w *recorder) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *recorder) WriteHeader(status int) {
	if w.status == 0 && status >= 200 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *recorder) Write(b []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	if w.drip == 0 {
		return w.ResponseWriter.Write(b)
	}
	written := 0
	for written < len(b) {
		size, pause := drop(w.drip)
		n, err := w.ResponseWriter.Write(b[written:min(len(b), written+size)])
		written += n
		if err != nil {
			return written, err
		}
		if err := http.NewResponseController(w.ResponseWriter).Flush(); err != nil {
			return written, err
		}
		if !wait(w.ctx, pause) {
			return written, w.ctx.Err()
		}
	}
	return written, nil
}

// drop is one piece of a dripping stream and the pause after it: about ten a
// second, or one byte at a time.
func drop(bytesPerSecond int) (size int, pause time.Duration) {
	size = max(1, bytesPerSecond/10)
	return size, time.Duration(size) * time.Second / time.Duration(bytesPerSecond)
}
