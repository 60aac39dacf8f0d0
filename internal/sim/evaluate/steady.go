package evaluate

import (
	"time"

	"github.com/datapunk/switchgear/breaker"
	"github.com/datapunk/switchgear/internal/sim/fault"
	"github.com/datapunk/switchgear/policy"
)

// Steady is what one openAbove makes of a share of failures that stays: from ten
// callers, after ten good seconds, for five minutes.
type Steady struct {
	OpenAbove float64 `json:"open_above"`
	Failing   float64 `json:"failing_percent"`
	Rate      float64 `json:"calls_per_second"`
	// Opens is seconds until no replica is closed, -1 where that never happens.
	Opens float64 `json:"opens_s"`
	// Openings from closed, of the callers' mean.
	Openings float64 `json:"openings"`
	// Admitted is the share of the calls let through, from 30 s after the failures
	// have begun.
	Admitted float64 `json:"admitted"`
}

// What the table of steady failures holds.
var (
	SteadyOpenAbove = []float64{20, 35, 50, 65, 80}
	SteadyFailing   = []float64{10, 20, 30, 40, 50, 60, 70, 80, 90}
	SteadyRates     = []float64{5, 50, 500}
)

const (
	steadyCallers = 10
	steadyFrom    = 10 * time.Second
	steadyFor     = 5 * time.Minute
)

// Play simulates the row, with only its inputs set, and fills in the rest.
func (s Steady) Play(seed uint64) Steady {
	e := &fault.Episode{
		Family: "steady", Seed: seed, Duration: steadyFrom + steadyFor, Timeout: time.Second, Instances: 1, Spread: .3,
		Calm: fault.Weather{Rate: s.Rate, Latency: 20 * time.Millisecond},
	}
	failing := e.Calm
	failing.Fail = s.Failing / 100
	e.Change(steadyFrom, e.Duration, failing, failing)
	w := newWorld(newLoad(e, steadyCallers))
	settings := policy.Default()
	settings.OpenAbove = s.OpenAbove
	p := newSwitchgearWith(settings, steadyCallers, e.Instances, seed, e.Timeout)
	s.Opens = -1
	var look func()
	look = func() {
		shut := 0
		for i := range p.ends {
			if p.ends[i].circuit.Breaker.View().State != breaker.Closed {
				shut++
			}
		}
		if now := p.world.Now(); shut == len(p.ends) {
			s.Opens = (now - steadyFrom).Seconds()
		} else {
			p.world.After(tickWidth/2, look)
		}
	}
	p.world.At(steadyFrom, look)
	s.Openings = float64(w.play(p).opened) / steadyCallers
	offered, admitted := 0, 0
	for _, t := range w.ticks[(steadyFrom+30*time.Second)/tickWidth:] {
		offered += t.offered
		admitted += t.admitted
	}
	s.Admitted = float64(admitted) / float64(max(offered, 1))
	return s
}

// SteadyRows are all rows of the table, to be played.
func SteadyRows() (rows []Steady) {
	for _, rate := range SteadyRates {
		for _, failing := range SteadyFailing {
			for _, above := range SteadyOpenAbove {
				rows = append(rows, Steady{OpenAbove: above, Failing: failing, Rate: rate})
			}
		}
	}
	return rows
}
