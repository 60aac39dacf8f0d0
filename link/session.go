package link

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"connectrpc.com/connect"

	"github.com/datapunk/switchgear/internal/fleet"
	linkv1 "github.com/datapunk/switchgear/link/gen/switchgear/link/v1"
	"github.com/datapunk/switchgear/link/wire"
)

type stream = connect.BidiStreamForClientSimple[linkv1.AttachRequest, linkv1.AttachResponse]

// run holds one stream after the other until closing ends; hard cuts the stream
// where it stands.
func (l *Link) run(hard, closing context.Context) {
	for attempt := 0; ; attempt++ {
		began := time.Now()
		final, err := l.session(hard, closing)
		l.counts.up.Store(false)
		l.transport.CloseIdleConnections()
		if final || closing.Err() != nil {
			return
		}
		l.port.Linked(l.address, err)
		if time.Since(began) > steady {
			attempt = 0
		}
		wait := time.NewTimer(l.wait(attempt))
		select {
		case <-wait.C:
		case <-closing.Done():
			wait.Stop()
			return
		}
	}
}

// wait is exponential with full jitter: 0 to twice the wait before.
func (l *Link) wait(attempt int) time.Duration {
	most := l.options.maxWait
	if shift := min(attempt, 30); l.options.minWait<<shift < most {
		most = l.options.minWait << shift
	}
	return time.Duration(l.rng.Int64N(int64(most)) + 1)
}

// session attaches once. It reports whether the port has said its last word, and
// else why the stream ended.
func (l *Link) session(hard, closing context.Context) (final bool, err error) {
	ctx, cancel := context.WithCancelCause(hard)
	defer cancel(nil)
	s, err := l.client.Attach(ctx)
	if err != nil {
		return false, err
	}
	// Ends with the stream, or with the cause ErrClosing.
	next, end := context.WithCancelCause(closing)
	defer end(nil)
	received := make(chan error, 1)
	go func() {
		err := l.receive(s, cancel)
		end(err)
		received <- err
	}()
	final, err = l.send(next, s)
	if final {
		_ = s.CloseRequest()
	} else {
		// The stream knows better why it ended than who could not send on it.
		failed := err
		defer time.AfterFunc(linger, func() { cancel(failed) }).Stop()
	}
	if why := <-received; context.Cause(ctx) == nil {
		err = why
	} else {
		err = context.Cause(ctx)
	}
	_ = s.CloseResponse()
	return final, err
}

// send says hello, then every report that is due, until the stream or the port
// has come to its end.
func (l *Link) send(next context.Context, s *stream) (final bool, err error) {
	hello := wire.ToHello(l.port.Hello())
	if err := s.Send(&linkv1.AttachRequest{Message: &linkv1.AttachRequest_Hello{Hello: hello}}); err != nil {
		return false, err
	}
	for {
		r, err := l.port.Next(next)
		if err != nil {
			return false, err
		}
		r.Dropped = l.untold
		if err := s.Send(&linkv1.AttachRequest{Message: &linkv1.AttachRequest_Report{Report: wire.ToReport(r)}}); err != nil {
			// Not sent again: it may have arrived, and evidence counts once.
			l.untold += uint64(len(r.Circuits))
			l.counts.lost.Add(uint64(len(r.Circuits)))
			return false, err
		}
		l.untold = 0
		l.counts.reports.Add(1)
		if r.Final {
			return true, nil
		}
		if cause := context.Cause(next); cause != nil && !errors.Is(cause, fleet.ErrClosing) {
			return false, cause
		}
	}
}

// receive obeys until the stream ends, and says why it did.
func (l *Link) receive(s *stream, cancel context.CancelCauseFunc) error {
	silence := time.AfterFunc(patience, func() { cancel(errSilent) })
	defer silence.Stop()
	told := false
	for {
		m, err := s.Receive()
		switch {
		case errors.Is(err, io.EOF):
			return errEnded
		case err != nil:
			return err
		}
		switch m := m.GetMessage().(type) {
		case *linkv1.AttachResponse_Welcome:
			silence.Stop()
			l.counts.streams.Add(1)
			l.counts.up.Store(true)
			l.port.Linked(l.address, nil)
		case *linkv1.AttachResponse_Directives:
			if err := l.obey(m.Directives); err != nil && !told {
				told = true
				l.options.log.Warn("directives were ignored", "address", l.address, "error", err)
			}
		}
	}
}

// obey hands over what can be read, and says why the rest can't.
func (l *Link) obey(m *linkv1.Directives) error {
	ds, err := wire.FromDirectives(m.GetDirectives())
	l.counts.directives.Add(uint64(len(ds)))
	l.counts.ignored.Add(uint64(len(m.GetDirectives()) - len(ds)))
	if len(ds) > 0 {
		l.port.Obey(ds)
	}
	if err != nil {
		return fmt.Errorf("read directives: %w", err)
	}
	return nil
}
