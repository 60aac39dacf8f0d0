package breaker

import (
	"sync"
	"sync/atomic"
	"time"
)

// core is all that a breaker needs beyond its word, made with its first outcome.
//
// INVARIANT: generation, state, mode and what depends on them change under mu,
// and the word is stored last, under mu, so that who sees it sees all of it.
type core struct {
	// due is from when on a success takes the lock: a bucket has ended, or a
	// success can complete what a rule waits for.
	due       atomic.Int64
	slowAfter atomic.Int64
	// quick are the settings by which a failure may be judged without the lock;
	// nil where that takes more than two sums. less is what those sums lack of the
	// window's: failed 32 | succeeded 32.
	quick  atomic.Pointer[Settings]
	less   atomic.Uint64
	cells  atomic.Pointer[cells]
	shared sharedCell

	ledger   atomic.Pointer[ledger]
	inFlight atomic.Int64
	tickAt   atomic.Int64  // when the next thing is due that Acquire must see to
	leave    atomic.Int32  // grants that wait for a call
	share32  atomic.Uint32 // the admitted share, of 1<<32
	phase    atomic.Uint32

	mu         sync.Mutex
	generation uint32
	state      State
	mode       Mode
	override   bool // mode is SetMode's
	modeWhy    string
	why        string
	since      time.Duration
	until      time.Duration // of an open breaker's own wait
	share      float64
	version    uint64 // rises whenever a cached rejection may be wrong
	changes    uint64 // of state or mode
	rng        uint64

	// The outage that lasts: from the opening until all is admitted again.
	outage       bool
	outageSince  time.Duration
	failedTrials int
	pushback     time.Duration // the callee asked to be left alone until then

	ramp     *Ramp // that share follows, if not control's
	rampFrom time.Duration
	rampAt   time.Duration // when the share is to be looked at again

	directed bool
	local    bool // opened by an own rule while directed
	dir      Direction

	trial  trial
	grants []grant

	// Of the generation: successes counted under mu or carried over from before
	// a change of mode, and the shared cell's count at its start.
	ok         uint64
	sharedBase uint64
	failed     uint32
	slow       uint32
	streak     int
	streakOK   uint32 // successes at the last failure: any since ends the streak
	window     window

	failedTold bool

	news       []news
	active     bool // Owner.Active is to be told
	lastActive time.Duration
	failing    bool // Owner.Failed is to be told
	telling    bool
}

// ledger is what a breaker needs once something else than a success has
// happened, made then: most never do.
type ledger struct {
	refusals             [reasons]atomic.Pointer[standing]
	rejected             [reasons]atomic.Uint64
	shadow, shadowFailed atomic.Uint64
	counts               Counts // what is counted under the core's lock
}

func (c *core) book() *ledger {
	if l := c.ledger.Load(); l != nil {
		return l
	}
	c.ledger.CompareAndSwap(nil, new(ledger))
	return c.ledger.Load()
}

// open gives the core and makes it at first use.
func (b *Breaker) open() *core {
	if c := b.core.Load(); c != nil {
		return c
	}
	c := new(core)
	c.mu.Lock()
	defer c.mu.Unlock()
	if !b.core.CompareAndSwap(nil, c) {
		return b.core.Load()
	}
	// Settings are read after the core is seen, so that Update misses neither.
	s := b.settings.Load()
	w := b.word.Load()
	now := b.clock.Now()
	c.generation, c.state, c.mode = uint32(w>>32), stateOf(w), s.Mode
	c.share = 1
	c.since = now
	c.rng = b.seed
	c.phase.Store(uint32(c.random() * (1 << 32)))
	c.window = newWindow(s, now)
	c.active = true
	c.shared.since.Store(int64(now))
	c.shared.n.Store(uint64(c.generation) << tagShift)
	c.apply(s)
	b.word.Store(wordOf(c.generation, c.state, c.mode, false, s))
	return c
}

// apply takes over what successes read of the settings.
func (c *core) apply(s *Settings) {
	after := s.SlowCallDurationThreshold
	if after <= 0 {
		after = parked
	}
	c.slowAfter.Store(int64(after))
}

// publish makes the state under mu the one that calls see.
func (b *Breaker) publish(c *core) {
	limited := c.share < 1 && c.state == Closed || c.state == HalfOpen && c.directed
	if limited {
		c.share32.Store(uint32(min(max(c.share, 0)*(1<<32), 1<<32-1)))
	}
	c.setTick()
	b.freed(c)
	b.word.Store(wordOf(c.generation, c.state, c.mode, limited, b.settings.Load()))
}

// freed makes every cached rejection be looked at again.
func (b *Breaker) freed(c *core) {
	c.version++
	b.standing.Store(nil)
	if l := c.ledger.Load(); l != nil {
		for i := range l.refusals {
			if l.refusals[i].Load() != nil {
				l.refusals[i].Store(nil)
			}
		}
	}
}

// setTick says when Acquire has to take the lock next.
func (c *core) setTick() {
	at := time.Duration(parked)
	if c.directed {
		at = c.dir.Until
	}
	switch {
	case c.state == Closed && c.ramp != nil && !c.directed:
		at = min(at, c.rampAt)
	case c.state == Open && !c.directed:
		at = min(at, c.until)
	}
	for i := range c.grants {
		at = min(at, c.grants[i].until)
	}
	c.tickAt.Store(int64(at))
}

// admit spreads the admitted share evenly: it lets a call through whenever the
// sum of shares passes a whole one. No chance, so a share is exact.
func (c *core) admit() bool {
	s := c.share32.Load()
	return c.phase.Add(s) < s
}

// enter counts a call in flight unless there are too many.
func (c *core) enter(most int) bool {
	for {
		n := c.inFlight.Load()
		if n >= int64(most) && most > 0 {
			return false
		}
		if c.inFlight.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

func (c *core) exit() {
	for {
		n := c.inFlight.Load()
		if n <= 0 || c.inFlight.CompareAndSwap(n, n-1) {
			return
		}
	}
}

// trialing reports whether the breaker judges probes of its own.
func (c *core) trialing() bool { return c.state == HalfOpen && !c.directed }

func (b *Breaker) countRejection(c *core, r Reason, now time.Duration) {
	if perProcessor {
		if cells := c.cells.Load(); cells != nil {
			if i := pin(); i < len(*cells) {
				(*cells)[i].rejected[r]++
				unpin()
				return
			}
			unpin()
		}
	}
	if c.book().rejected[r].Add(1)%busyCalls == 0 && c.shared.brisk(now) {
		c.widen()
		c.mu.Lock()
		b.freed(c) // so that the next rejections know the cells
		c.mu.Unlock()
	}
}

func (c *core) widen() {
	if perProcessor && c.cells.Load() == nil {
		c.cells.CompareAndSwap(nil, newCells())
	}
}

// totals are the generation's outcomes.
func (c *core) totals() tally3 {
	t := tally3{uint32(c.ok + c.shared.count() - c.sharedBase), c.failed, c.slow}
	if cells := c.cells.Load(); cells != nil {
		for i := range *cells {
			(*cells)[i].of(c.generation, &t.ok, &t.failed)
		}
	}
	return t
}

// record counts an outcome of the present generation.
func (c *core) record(o *Outcome, slow bool) {
	if o.Verdict == Success && o.Attempt <= 1 && !slow {
		c.shared.n.Add(1)
		if o.Latency > 0 {
			c.shared.latency.Add(int64(o.Latency))
		}
		return
	}
	if o.Verdict == Success {
		c.ok++
	}
	n := &c.book().counts
	n.record(o, o.Latency)
	if slow {
		n.Slow++
	}
	if o.Verdict == Failure && !c.failedTold {
		c.failedTold, c.failing = true, true
	}
}

// Counts of all outcomes since the breaker was made. The next failure tells the
// owner again.
func (b *Breaker) Counts() Counts {
	c := b.core.Load()
	if c == nil {
		return Counts{}
	}
	c.mu.Lock()
	c.failedTold = false
	c.quick.Store(nil)
	n := c.tally()
	c.mu.Unlock()
	return n
}

// Totals are the same as Counts for who only looks: it changes nothing.
func (b *Breaker) Totals() Counts {
	c := b.core.Load()
	if c == nil {
		return Counts{}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.tally()
}

// tally adds up what is counted under the lock and outside it.
func (c *core) tally() Counts {
	var n Counts
	l := c.ledger.Load()
	if l != nil {
		n = l.counts
	}
	n.Succeeded += c.shared.count()
	n.Latency += time.Duration(c.shared.latency.Load())
	if l != nil {
		for r := range n.Rejected {
			n.Rejected[r] = l.rejected[r].Load()
		}
		n.Shadow, n.ShadowFailed = l.shadow.Load(), l.shadowFailed.Load()
	}
	if cells := c.cells.Load(); cells != nil {
		for i := range *cells {
			(*cells)[i].sum(&n)
		}
	}
	n.finish()
	return n
}
