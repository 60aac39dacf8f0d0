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
}

// AppendHeader adds a trace's first line to b.
func AppendHeader(b []byte, cfg Config) []byte {
	b, _ = appendLine(b, TraceHeader{Trace: TraceVersion, Config: cfg}) // it holds nothing that can't be written
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
	return h, func(yield func(Input, error) bool) {
		n := 1
		var last Input
		for lines.Scan() {
			n++
			var in Input
			err := json.Unmarshal(lines.Bytes(), &in)
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
