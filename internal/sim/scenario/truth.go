package scenario

import (
	"time"

	"github.com/datapunk/switchgear/breaker"
	"github.com/datapunk/switchgear/internal/sim"
	"github.com/datapunk/switchgear/policy"
)

// circuit is the truth about one circuit: what its calls came to in all
// replicas, whatever the breakers make of it.
type circuit struct {
	policy.Circuit
	mesh     *mesh
	call     *Call
	settings *policy.Settings
	from, to *service
	breakers int
	inFlight uint32
	figures  Figures
	ticks    []Tick
	open     int           // breakers that are not closed
	anyOpen  int           // those of instances too
	since    time.Duration // when that number changed
	openTime time.Duration // of all breakers
	trouble  []*trouble
}

// Tick is what happened in a circuit in a tenth of a second.
type Tick struct {
	Offered    uint32 // calls that asked
	Rejected   uint32
	Collateral uint32 // of them, those that the callee itself would have answered
	Sent       uint32
	Good       uint32 // with this tick as their end, as those that follow
	Failed     uint32
	Inherited  uint32
	Probes     uint32 // sent while the breaker was not closed
	InFlight   uint32 // most at once
}

// TickWidth is how long a tick is.
const TickWidth = 100 * time.Millisecond

// Figures are the sums of a circuit.
type Figures struct {
	Calls      int `json:"calls"` // asked, first attempts and retries
	Good       int `json:"good"`
	Failed     int `json:"failed"`
	Inherited  int `json:"inherited"`
	Ignored    int `json:"ignored"`
	Rejected   int `json:"rejected"`
	Collateral int `json:"collateral"` // rejected though the callee itself would have answered
	Sent       int `json:"sent"`
	Probes     int `json:"probes"`
	// Openings of breakers, from closed, and of breakers of instances.
	Openings         int     `json:"openings"`
	InstanceOpenings int     `json:"instanceOpenings"`
	SecondsOpen      float64 `json:"secondsOpen"` // not closed, in the mean of the breakers
	Faults           []Found `json:"faults"`
}

// Found says how soon a fault of the circuit's callee was found and forgotten.
// What never was is null.
type Found struct {
	Fault int    `json:"fault"` // its place in the scenario
	Kind  string `json:"kind"`
	// DetectSeconds pass from its beginning to the first opening, of the circuit or
	// an instance, and EverywhereSeconds until every breaker of the circuit is open.
	DetectSeconds     *float64 `json:"detectSeconds"`
	EverywhereSeconds *float64 `json:"everywhereSeconds"`
	// FailedBefore are the calls that failed until the first opening, or its end.
	FailedBefore int `json:"failedBefore"`
	// RecoverSeconds pass from its end until nine of ten calls are let through,
	// over a second or ten calls, and no breaker of the circuit or its instances is
	// open any more; null where nothing had opened.
	RecoverSeconds *float64 `json:"recoverSeconds"`
}

// trouble is a fault of a circuit's callee.
type trouble struct {
	*going
	failed               int // by then
	detected, everywhere time.Duration
	before               int
	over                 bool
	closed               time.Duration // when all was closed again after its end
}

// tick of an instant.
func (c *circuit) tick(now time.Duration) *Tick {
	for at := int(now / TickWidth); len(c.ticks) <= at; {
		c.ticks = append(c.ticks, Tick{InFlight: c.inFlight})
	}
	return &c.ticks[now/TickWidth]
}

// book counts an outcome.
func (c *circuit) book(now time.Duration, o breaker.Outcome) {
	t := c.tick(now)
	switch o.Verdict {
	case breaker.Success:
		t.Good++
		c.figures.Good++
	case breaker.Failure:
		t.Failed++
		c.figures.Failed++
	case breaker.Inherited:
		t.Inherited++
		c.figures.Inherited++
	default:
		c.figures.Ignored++
	}
}

// change counts a breaker that goes from one state to another.
func (c *circuit) change(now time.Duration, instance string, to, from breaker.State) {
	change := 0
	switch {
	case from == breaker.Closed && to != breaker.Closed:
		change = 1
	case from != breaker.Closed && to == breaker.Closed:
		change = -1
	}
	c.anyOpen += change
	if instance == "" {
		c.openTime += time.Duration(c.open) * (now - c.since)
		c.since = now
		c.open += change
	}
}

// changed hears every transition of every breaker.
func (m *mesh) changed(r *sim.Replica, x sim.Change) {
	c, now := m.byID[x.Circuit], m.w.Now()
	if owner, _ := r.Owner.(*replica); owner.process != r || owner.down {
		return // what a call that outlives its process does to a breaker, nobody sees
	}
	opened := x.From == breaker.Closed && x.To == breaker.Open
	c.change(now, x.Instance, x.To, x.From)
	switch {
	case !opened:
	case x.Instance == "":
		c.figures.Openings++
	default:
		c.figures.InstanceOpenings++
	}
	for _, t := range c.trouble {
		t.see(c, now, opened)
	}
	m.log.changed(now, r.Name, x)
	if m.hooks.Change != nil {
		m.hooks.Change(r.Name, x)
	}
}

func (t *trouble) see(c *circuit, now time.Duration, opened bool) {
	if t.over {
		if c.anyOpen == 0 && t.closed == 0 {
			t.closed = now
		}
		return
	}
	if opened && t.detected == 0 {
		t.detected, t.before = now, c.figures.Failed-t.failed
	}
	if c.open == c.breakers && t.everywhere == 0 {
		t.everywhere = now
	}
}

// end of the fault.
func (t *trouble) end(c *circuit, now time.Duration) {
	if t.detected == 0 {
		t.before = c.figures.Failed - t.failed
	}
	if t.over = true; c.anyOpen == 0 {
		t.closed = now
	}
}

// found sums up what was seen of a fault.
func (t *trouble) found(c *circuit, duration time.Duration) Found {
	f := Found{Fault: t.index, Kind: t.Kind, FailedBefore: t.before}
	since := func(at time.Duration) *float64 {
		if at == 0 {
			return nil
		}
		s := (at - t.from).Seconds()
		return &s
	}
	f.DetectSeconds, f.EverywhereSeconds = since(t.detected), since(t.everywhere)
	if t.detected != 0 && t.to < duration && t.closed != 0 {
		f.RecoverSeconds = c.recovered(t.to)
	}
	if f.RecoverSeconds != nil {
		*f.RecoverSeconds = max(*f.RecoverSeconds, (t.closed - t.to).Seconds())
	}
	return f
}

// recovered is how long after an instant nine of ten calls were let through
// again, over a second, or as long as it takes to ten calls, at most five.
func (c *circuit) recovered(from time.Duration) *float64 {
	first := int(from / TickWidth)
	for i := first; i < len(c.ticks); i++ {
		offered, rejected := uint32(0), uint32(0)
		for j := i; j < min(i+50, len(c.ticks)) && (j < i+10 || offered < 10); j++ {
			offered += c.ticks[j].Offered
			rejected += c.ticks[j].Rejected
		}
		if offered > 0 && rejected*10 <= offered {
			s := (time.Duration(i-first) * TickWidth).Seconds()
			return &s
		}
	}
	return nil
}

// sum closes the books.
func (c *circuit) sum() Figures {
	now := c.mesh.w.Now()
	f := c.figures
	f.Calls = f.Sent + f.Rejected
	f.SecondsOpen = (c.openTime + time.Duration(c.open)*(now-c.since)).Seconds() / float64(c.breakers)
	f.Faults = []Found{}
	for _, t := range c.trouble {
		if !t.over && t.detected == 0 {
			t.before = c.figures.Failed - t.failed
		}
		f.Faults = append(f.Faults, t.found(c, c.mesh.Duration))
	}
	return f
}

// Requests are what a service's own load came to: what users see.
type Requests struct {
	Service string `json:"service"`
	Made    int    `json:"made"`
	Good    int    `json:"good"`
	Failed  int    `json:"failed"`
	Ignored int    `json:"ignored"` // cancelled, or the caller's mistake
}

func (r *Requests) add(o breaker.Outcome) {
	switch o.Verdict {
	case breaker.Success:
		r.Good++
	case breaker.Ignored:
		r.Ignored++
	default:
		r.Failed++
	}
}
