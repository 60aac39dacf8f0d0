// Package story measures the ten scenarios that operators judge a manager of
// circuit breakers by: each promise has a number, and is played in virtual time
// over several seeds, of which the worst decides. Beside it, on the same meshes,
// seeds and dice, stand peers. It is pure: same seeds, same figures.
package story

import (
	"math"
	"slices"

	"github.com/datapunk/switchgear/internal/control"
)

// Seeds is over how many seeds a promise is measured unless its part says less.
const Seeds = 3

// Row is one promise, and what came of it.
type Row struct {
	Scenario int    `json:"scenario"` // 1–10
	Name     string `json:"name"`     // of the scenario
	Measure  string `json:"measure"`
	// Promised and Measured compare by Op. A pending row has measured nothing.
	Promised float64  `json:"promised"`
	Measured *float64 `json:"measured"`
	Op       string   `json:"op"`
	// Peers' figures, where they have one.
	Peers map[string]float64 `json:"peers"`
	Kept  bool               `json:"kept"`
	// Pending is a word for what a promise waits for, else empty.
	Pending string `json:"pending,omitempty"`
	Seeds   int    `json:"seeds"` // of which the worst is shown
	// Breaks are the mechanisms without which the promise is not kept.
	Breaks []string `json:"breaks,omitempty"`
	Live   bool     `json:"live,omitempty"` // measured with processes and sockets
}

// promise is a row before it is measured.
type promise struct {
	measure  string
	op       string
	promised float64
	pending  string
	breaks   []string
}

// part of a scenario is promises that are measured in the same plays.
type part struct {
	promises []promise
	seeds    int  // 0 is Seeds
	alone    bool // peers have nothing that could be measured
	// play gives a figure for each promise; NaN where there is none.
	play func(*play) []float64
}

// chapter is one of the ten scenarios.
type chapter struct {
	number int
	name   string
	parts  []part
}

var chapters = []chapter{
	detect, sickCaller, smallestPart, budget, gone, edit, force, rootCause, noise, guard,
}

// Options of a measurement.
type Options struct {
	Without control.Without
	// Seeds, if not 0, is the most that any promise is measured over.
	Seeds int
	// Scenarios to measure; empty is all.
	Scenarios []int
	// NoPeers measures switchgear alone.
	NoPeers bool
}

// Job is one play of a part: with a seed, by a contender.
type Job struct {
	chapter, part int
	seed          uint64
	by            contender
	without       control.Without
}

// Result is what came of a job.
type Result struct {
	job     Job
	figures []float64
}

// Jobs are all plays of a measurement, those that take longest first.
func Jobs(o Options) (jobs []Job) {
	for i := len(chapters) - 1; i >= 0; i-- {
		c := &chapters[i]
		if !o.plays(c.number) {
			continue
		}
		for j := range c.parts {
			p := &c.parts[j]
			if p.play == nil {
				continue
			}
			for _, by := range contenders {
				if by.name != own && (p.alone || o.NoPeers) {
					continue
				}
				seeds := o.seeds(p)
				if by.name != own {
					seeds = 1
				}
				for seed := range uint64(seeds) {
					jobs = append(jobs, Job{i, j, seed + 1, by, o.Without})
				}
			}
		}
	}
	return jobs
}

func (o *Options) plays(number int) bool {
	return len(o.Scenarios) == 0 || slices.Contains(o.Scenarios, number)
}

func (o *Options) seeds(p *part) int {
	n := p.seeds
	if n == 0 {
		n = Seeds
	}
	if o.Seeds > 0 {
		n = min(n, o.Seeds)
	}
	return n
}

// Run plays a job.
func (j Job) Run() (Result, error) {
	p := &play{seed: j.seed, by: j.by, without: j.without}
	figures := chapters[j.chapter].parts[j.part].play(p)
	return Result{j, figures}, p.err
}

// Rows are the promises with what was measured of them.
func Rows(o Options, results []Result) (rows []Row) {
	for i := range chapters {
		c := &chapters[i]
		if !o.plays(c.number) {
			continue
		}
		for j := range c.parts {
			p := &c.parts[j]
			for k, promised := range p.promises {
				r := Row{
					Scenario: c.number, Name: c.name, Measure: promised.measure, Promised: promised.promised, Op: promised.op,
					Pending: promised.pending, Peers: map[string]float64{}, Breaks: promised.breaks,
				}
				if p.play != nil {
					r.Seeds = o.seeds(p)
				}
				for _, by := range contenders {
					worst := math.NaN()
					for _, x := range results {
						if x.job.chapter == i && x.job.part == j && x.job.by.name == by.name {
							worst = promised.worse(worst, x.figures[k])
						}
					}
					switch {
					case math.IsNaN(worst):
					case by.name == own:
						r.Measured = &worst
					default:
						r.Peers[by.name] = worst
					}
				}
				r.Kept = r.Measured != nil && promised.holds(*r.Measured)
				rows = append(rows, r)
			}
		}
	}
	return rows
}

// holds reports whether a figure keeps the promise.
func (p *promise) holds(x float64) bool {
	switch p.op {
	case "<=":
		return x <= p.promised
	case "<":
		return x < p.promised
	case ">=":
		return x >= p.promised
	case ">":
		return x > p.promised
	}
	return x == p.promised
}

// worse of two figures.
func (p *promise) worse(a, b float64) float64 {
	switch {
	case math.IsNaN(a):
		return b
	case math.IsNaN(b):
		return a
	case p.op == "<=" || p.op == "<":
		return max(a, b)
	case p.op == ">=" || p.op == ">":
		return min(a, b)
	case math.Abs(b-p.promised) > math.Abs(a-p.promised):
		return b
	}
	return a
}

// Kept reports whether everything that is measured is kept.
func Kept(rows []Row) bool {
	for _, r := range rows {
		if !r.Kept && r.Pending == "" {
			return false
		}
	}
	return true
}
