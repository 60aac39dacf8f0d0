package app

import (
	"bufio"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync/atomic"
	"time"

	"github.com/datapunk/switchgear/internal/control"
)

// recorder writes control's inputs to a file, for replay. It never keeps the
// owner waiting: what can't be written in time is dropped, counted and said.
type recorder struct {
	file    *os.File
	log     *slog.Logger
	in      chan control.Input
	done    chan struct{}
	dropped atomic.Uint64
}

const recordQueue = 8192

func openRecorder(path string, mind control.Config, log *slog.Logger) (*recorder, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, fmt.Errorf("record: %w: choose another file with --record", err)
	}
	if _, err := f.Write(control.AppendHeader(nil, mind)); err != nil {
		return nil, errors.Join(fmt.Errorf("record: %w", err), f.Close())
	}
	r := &recorder{file: f, log: log, in: make(chan control.Input, recordQueue), done: make(chan struct{})}
	go r.run()
	return r, nil
}

// record is called by the owner alone, and not after close.
func (r *recorder) record(in control.Input) {
	select {
	case r.in <- in:
	default:
		if r.dropped.Add(1) == 1 {
			r.log.Warn("the record has gaps: its file is too slow, and it can't be replayed", "file", r.file.Name())
		}
	}
}

func (r *recorder) close() {
	close(r.in)
	<-r.done
}

func (r *recorder) run() {
	defer close(r.done)
	w := bufio.NewWriterSize(r.file, 256<<10)
	flush := time.NewTicker(time.Second)
	defer flush.Stop()
	var failed error
	var line []byte
	for {
		select {
		case in, ok := <-r.in:
			if !ok {
				r.end(errors.Join(w.Flush(), r.file.Close()), failed)
				return
			}
			var err error
			if line, err = control.AppendInput(line[:0], in); err == nil {
				_, err = w.Write(line)
			}
			if err != nil {
				r.dropped.Add(1)
				failed = r.said(failed, err)
			}
		case <-flush.C:
			failed = r.said(failed, w.Flush())
		}
	}
}

// said tells of the first failure.
func (r *recorder) said(before, err error) error {
	if before != nil || err == nil {
		return before
	}
	r.log.Error("the record has stopped", "error", fmt.Errorf("write record: %w", err))
	return err
}

func (r *recorder) end(err, before error) {
	_ = r.said(before, err)
	if n := r.dropped.Load(); n > 0 {
		r.log.Warn("the record lacks inputs", "dropped", n, "file", r.file.Name())
	}
}
