package live

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/datapunk/switchgear/internal/sim/story"
)

// Config of a measurement.
type Config struct {
	Binary    string // switchgear itself, for the processes
	Scenarios []int  // empty is all
	Seed      uint64
	// Say is told what happens, as it happens. Never nil.
	Say func(sentence string)
}

// part of a scenario is what is measured in one mesh. Its rows, when it is
// played, are those that it names, in order.
type part struct {
	name  string
	spec  spec
	play  func(context.Context, *mesh) ([]float64, error)
	rows  []promise
	limit time.Duration // 0 is partLimit
}

// promise is a row before it is measured.
type promise struct {
	measure  string
	op       string
	promised float64
	pending  string
}

type chapter struct {
	number int
	parts  []part
}

var chapters = []chapter{detect, sickCaller, smallestPart, budget, gone, edit, force, rootCause, noise}

// Scenarios are those that are measured live, or wait for what they need.
func Scenarios() (numbers []int) {
	for _, c := range chapters {
		numbers = append(numbers, c.number)
	}
	return numbers
}

// partLimit is how long one part may take, with the start and the end of its
// processes.
const partLimit = 3 * time.Minute

// Run measures the scenarios, one mesh after another. A row is what was promised
// and measured; an error means that it could not be: a process that does not
// start, or ends by itself, or takes too long. Every process has ended when it
// returns.
func Run(ctx context.Context, c Config) (rows []story.Row, err error) {
	for _, chapter := range chapters {
		if len(c.Scenarios) > 0 && !slices.Contains(c.Scenarios, chapter.number) {
			continue
		}
		for i := range chapter.parts {
			p := &chapter.parts[i]
			figures := make([]float64, len(p.rows))
			if p.play != nil {
				c.Say(fmt.Sprintf("scenario %d: %s", chapter.number, p.name))
				if figures, err = p.measure(ctx, &c); err != nil {
					return rows, fmt.Errorf("scenario %d, %s: %w", chapter.number, p.name, err)
				}
			}
			for j, x := range p.rows {
				measure := x.measure
				if p.name != "" {
					measure = p.name + ": " + measure
				}
				if x.pending != "" {
					rows = append(rows, story.LivePending(chapter.number, measure, x.op, x.promised, x.pending))
					continue
				}
				rows = append(rows, story.Live(chapter.number, measure, x.op, x.promised, figures[j]))
			}
		}
	}
	return rows, nil
}

var errTooLong = errors.New("it took too long")

func (p *part) measure(ctx context.Context, c *Config) (figures []float64, err error) {
	limit := p.limit
	if limit == 0 {
		limit = partLimit
	}
	ctx, cancel := context.WithTimeoutCause(ctx, limit, errTooLong)
	defer cancel()
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	m, err := build(ctx, c.Binary, &p.spec, c.Seed, fail)
	defer func() { err = errors.Join(err, m.close()) }()
	if err == nil {
		err = m.load(ctx)
	}
	if err != nil {
		return nil, err
	}
	if figures, err = p.play(ctx, m); err == nil {
		err = context.Cause(ctx) // a process that was lost, though the play did not look
	}
	if err == nil && len(figures) < len(p.rows) {
		err = fmt.Errorf("%d figures for %d promises", len(figures), len(p.rows))
	}
	return figures, err
}
