package control

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
)

// TraceVersion is the version of the trace format: JSON lines, a header and then
// inputs, control's complete input.
const TraceVersion = 1

// maxTraceLine bounds one line of a trace, in bytes.
const maxTraceLine = 16 << 20

// TraceHeader is a trace's first line: how the mind was made.
type TraceHeader struct {
	Trace  int // the version
	Config Config
	// State are inputs that bring a new mind to where the trace begins; none where
	// it began with the mind.
	State []Input `json:",omitempty"`
}

// AppendHeader adds a trace's first line to b, and the state from which on it
// tells.
func AppendHeader(b []byte, cfg Config, state ...Input) []byte {
	b, _ = appendLine(b, TraceHeader{Trace: TraceVersion, Config: cfg, State: state}) // a mind holds no number that is none
	return b
}

// AppendInput adds an input's line to b. What holds a number that is none can't
// be written: then b stays as it was.
func AppendInput(b []byte, in Input) ([]byte, error) { return appendLine(b, in) }

func appendLine(b []byte, v any) ([]byte, error) {
	line, err := json.Marshal(v)
	if err != nil {
		return b, fmt.Errorf("write trace: %w", err)
	}
	return append(append(b, line...), '\n'), nil
}

// one reports an input that is none, or several.
func (in *Input) one() error {
	n := 0
	for _, set := range [...]bool{
		in.Hello != nil, in.Gone != nil, in.Report != nil, in.Order != nil, in.Policy != nil, in.Marker != nil,
		in.Member != nil, in.Told != nil, in.Check != nil, in.Tick,
	} {
		if set {
			n++
		}
	}
	switch {
	case in.At < 0:
		return fmt.Errorf("time %v: want 0 or more", in.At)
	case n != 1:
		return fmt.Errorf("%d events: want one of Hello, Gone, Report, Order, Policy, Marker, Member, Told, Check, Tick", n)
	}
	return nil
}

// ReadTrace reads a trace: its header, and then its inputs one by one. What is
// damaged ends it with an error that names the line.
func ReadTrace(r io.Reader) (TraceHeader, iter.Seq2[Input, error], error) {
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 64<<10), maxTraceLine)
	var h TraceHeader
	if !lines.Scan() {
		if err := lines.Err(); err != nil {
			return h, nil, fmt.Errorf("read trace: line 1: %w", err)
		}
		return h, nil, errors.New("read trace: line 1: empty file")
	}
	if err := json.Unmarshal(lines.Bytes(), &h); err != nil || h.Trace == 0 {
		return h, nil, fmt.Errorf(`read trace: line 1: not a trace: want {"Trace":%d,…}`, TraceVersion)
	}
	if h.Trace > TraceVersion {
		return h, nil, fmt.Errorf("read trace: version %d: this program reads up to %d", h.Trace, TraceVersion)
	}
	for i := range h.State {
		if err := h.State[i].one(); err != nil {
			return h, nil, fmt.Errorf("read trace: line 1: state, input %d: %w", i+1, err)
		}
	}
	return h, func(yield func(Input, error) bool) {
		n := 1
		var last Input
		if n := len(h.State); n > 0 {
			last = h.State[n-1]
		}
		for lines.Scan() {
			n++
			var in Input
			err := json.Unmarshal(lines.Bytes(), &in)
			if err == nil {
				err = in.one()
			}
			if err == nil && in.At < last.At {
				err = fmt.Errorf("time goes back from %v to %v", last.At, in.At)
			}
			if err != nil {
				yield(Input{}, fmt.Errorf("read trace: line %d: %w", n, err))
				return
			}
			last = in
			if !yield(in, nil) {
				return
			}
		}
		if err := lines.Err(); err != nil {
			yield(Input{}, fmt.Errorf("read trace: line %d: %w", n+1, err))
		}
	}, nil
}
