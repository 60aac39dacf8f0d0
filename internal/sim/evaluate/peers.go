package evaluate

import (
	"math/rand/v2"
	"time"

	"github.com/datapunk/switchgear/breaker"
)

// none makes every call.
type none struct{}

func (none) allow(*call) bool            { return true }
func (none) done(*call, breaker.Outcome) {}
func (none) openings() int               { return 0 }

// clairvoyant knows the weather, not the dice, and leaves sick instances out. A
// lagging one knows it late by a time and a number of calls.
type clairvoyant struct {
	none
	w     *world
	late  time.Duration
	calls []time.Duration // the last offers; as many as it is late by
	n     int
}

func newClairvoyant(w *world, late time.Duration, calls int) *clairvoyant {
	return &clairvoyant{w: w, late: late, calls: make([]time.Duration, calls)}
}

func (p *clairvoyant) allow(c *call) bool {
	then := c.At - p.late
	if len(p.calls) > 0 {
		oldest := &p.calls[p.n%len(p.calls)]
		then = min(then, *oldest)
		*oldest = c.At
		p.n++
	}
	then = max(then, 0)
	first := c.Instance
	for i := range p.w.Instances {
		c.Instance = (first + i) % p.w.Instances
		if p.w.worth(c.At, then, c.Caller, c.Instance) {
			return true
		}
	}
	return false
}

// alone gives each caller a breaker with the same fixed settings: the real code,
// without anybody beside it.
type alone struct {
	clock    *breaker.Clock
	breakers []*breaker.Breaker
	permits  permits
	opened   watcher
}

func newAlone(s breaker.Settings, callers int, seed uint64) *alone {
	p := &alone{clock: breaker.NewClock(func() time.Duration { return 0 })}
	p.clock.Advance(0)
	for i := range callers {
		p.breakers = append(p.breakers, breaker.New(&s, breaker.Options{Clock: p.clock, Seed: seed<<16 + uint64(i), Owner: &p.opened}))
	}
	return p
}

func (p *alone) allow(c *call) bool {
	p.clock.Advance(c.At)
	permit, err := p.breakers[c.Caller].Acquire()
	if err != nil {
		return false
	}
	*p.permits.of(c) = permit
	return true
}

func (p *alone) done(c *call, o breaker.Outcome) {
	p.clock.Advance(c.At + o.Latency)
	p.permits.of(c).Done(o)
}

func (p *alone) openings() int { return int(p.opened) }

// permits by slot.
type permits []breaker.Permit

func (p *permits) of(c *call) *breaker.Permit {
	for len(*p) <= c.Slot {
		*p = append(*p, breaker.Permit{})
	}
	return &(*p)[c.Slot]
}

// watcher counts openings.
type watcher int

func (n *watcher) Rejected(_ *breaker.Breaker, r breaker.Rejection) error { return r.Reason.Err() }

func (n *watcher) Changed(_ *breaker.Breaker, t breaker.Transition) {
	if t.From == breaker.Closed && t.To == breaker.Open {
		*n++
	}
}

func (*watcher) Active(*breaker.Breaker)                                  {}
func (*watcher) Failed(*breaker.Breaker)                                  {}
func (*watcher) Answered(*breaker.Breaker, uint64, bool, breaker.Outcome) {}

// throttle is the client-side throttle of Google's SRE book, K = 2 over two
// minutes: each caller rejects by max(0, (requests − K × accepts) / (requests + 1)).
type throttle struct {
	rng     *rand.Rand
	callers []history
	opened  int
}

// history is one caller's two minutes in twelve steps.
type history struct {
	requests, accepts [12]float64
	step              int
	rejected          time.Duration // when it last rejected
}

const throttleStep = 10 * time.Second

func newThrottle(callers int, seed uint64) *throttle {
	p := &throttle{rng: rand.New(rand.NewPCG(seed, 3)), callers: make([]history, callers)}
	for i := range p.callers {
		p.callers[i].rejected = -time.Hour
	}
	return p
}

func (h *history) at(now time.Duration) (slot int) {
	for step := int(now / throttleStep); h.step < step; {
		h.step++
		h.requests[h.step%12], h.accepts[h.step%12] = 0, 0
	}
	return h.step % 12
}

func (p *throttle) allow(c *call) bool {
	h := &p.callers[c.Caller]
	slot := h.at(c.At)
	requests, accepts := 0., 0.
	for i := range h.requests {
		requests += h.requests[i]
		accepts += h.accepts[i]
	}
	h.requests[slot]++
	if p.rng.Float64() >= (requests-2*accepts)/(requests+1) {
		return true
	}
	if c.At-h.rejected > throttleStep {
		p.opened++ // it has no state: an opening is to reject after ten seconds of none
	}
	h.rejected = c.At
	return false
}

func (p *throttle) done(c *call, o breaker.Outcome) {
	if o.Verdict == breaker.Success {
		h := &p.callers[c.Caller]
		h.accepts[h.at(c.At+o.Latency)]++
	}
}

func (p *throttle) openings() int { return p.opened }
