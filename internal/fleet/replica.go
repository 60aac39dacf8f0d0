package fleet

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/datapunk/switchgear/breaker"
	"github.com/datapunk/switchgear/policy"
)

// Replica is the pure half of one process of a service: it samples what its
// breakers counted, says when a report is due, and obeys directives. Guard and
// the breakers may be used by any goroutine; the other methods by one at a time.
type Replica struct {
	id    ReplicaID
	clock *breaker.Clock
	sink  Sink
	hash  uint64
	phase time.Duration // of the calm reports, so that replicas do not report together

	inboxMu sync.Mutex
	inbox   inbox

	circuits   map[policy.Circuit]*Circuit // that were active
	waiting    atomic.Bool                 // early is not empty
	early      map[policy.Circuit]word     // of circuits that nobody has called yet
	active     []*Circuit
	answers    []Answer
	sequence   uint64
	greeted    bool          // somebody reads the link's reports
	lostAt     time.Duration // when the link was, 0 while it is up
	isGoverned bool
	read       [readers]struct {
		last   time.Duration // when it was
		urgent time.Duration // when the first urgent evidence was seen since; 0 is none
	}
	sampled time.Duration
	wake    time.Duration // as of the last sample

	adapt func(*policy.Settings) error // of settings that control sends
}

// Sink is what the shell around a replica is told, from within calls: it must
// return at once.
type Sink interface {
	// Rejected builds the error that a caller sees; instance is "" for the circuit.
	Rejected(c *Circuit, instance string, r breaker.Rejection) error
	// Changed tells of a transition, after it is published, in order per breaker.
	Changed(c *Circuit, instance string, t breaker.Transition)
	// Due says that a report may be due sooner than it was.
	Due()
	// Find gives the circuit of a name, nil if nobody has guarded it.
	Find(policy.Circuit) *Circuit
}

// inbox is what calls leave for the replica's own goroutine. It holds each
// circuit a few times at most, since breakers tell once per bucket or report.
type inbox struct {
	born, active, failed, changed []*Circuit
	answers                       []Answer
}

// Times of the reports (algorithms.md: evidence later than 0.2 s costs calls).
const (
	CalmInterval   = time.Second
	UrgentGather   = 50 * time.Millisecond  // how long urgent evidence is gathered
	UrgentInterval = 100 * time.Millisecond // between urgent reports at least
	keepEvidence   = 6 * time.Second        // older evidence is folded: it feeds totals only
	forgetIdle     = 5 * time.Second        // a closed circuit without calls is reported no more
	never          = math.MaxInt64          // an instant
	maxEarly       = 1024                   // directives kept for circuits that nobody has called yet
)

// reader is who takes the evidence, each at its own pace.
type reader int

const (
	theLink reader = iota
	ownControl
	readers
)

// word is a directive that waits for its circuit, and since when.
type word struct {
	Directive
	at time.Duration
}

func (w *word) ended(now time.Duration) bool { return w.at+w.longest() <= now }

// NewReplica makes the pure half of a replica. Seed decides its phase and its
// breakers' jitter.
func NewReplica(id ReplicaID, clock *breaker.Clock, seed uint64, sink Sink) *Replica {
	rng := rand.New(rand.NewPCG(seed, 0x5167))
	return &Replica{
		id: id, clock: clock, sink: sink, hash: seed, adapt: withoutStrategy,
		phase:    time.Duration(rng.Int64N(int64(CalmInterval))),
		circuits: make(map[policy.Circuit]*Circuit),
		early:    make(map[policy.Circuit]word),
	}
}

// AdaptWith says what is done with settings that control sends before they are in
// force: f gives them the process's strategy, and its mode. Its error refuses them.
func (r *Replica) AdaptWith(f func(*policy.Settings) error) { r.adapt = f }

// withoutStrategy is what is done where nobody says otherwise: there is no strategy.
func withoutStrategy(s *policy.Settings) error {
	if s.Strategy != "" {
		return fmt.Errorf("strategy %q is not here", s.Strategy)
	}
	return nil
}

// ID of the replica.
func (r *Replica) ID() ReplicaID { return r.id }

// Guard makes the circuit to a callee. The shell calls it once per circuit;
// settings are valid.
func (r *Replica) Guard(id policy.Circuit, s *policy.Settings) *Circuit {
	c := &Circuit{ID: id, replica: r}
	c.settings.Store(s)
	c.Breaker = breaker.New(&s.Breaker, breaker.Options{Clock: r.clock, Seed: r.seed(id.String()), Owner: (*circuitOwner)(c)})
	if r.waiting.Load() {
		r.note(func(in *inbox) { in.born = append(in.born, c) })
	}
	return c
}

// seed is the same for the same replica and name in every run.
func (r *Replica) seed(name string) uint64 {
	h := r.hash
	for i := range len(name) {
		h = (h ^ uint64(name[i])) * 0x100000001b3
	}
	return h
}

func (r *Replica) note(f func(*inbox)) {
	r.inboxMu.Lock()
	f(&r.inbox)
	r.inboxMu.Unlock()
}

// Hello begins a stream: everything is told anew.
func (r *Replica) Hello(now time.Duration, version string) Hello {
	r.drain(now)
	r.greeted = true
	h := Hello{Protocol: Protocol, Features: []string{"parts", "leases"}, Replica: r.id, Version: version}
	for _, c := range r.circuits {
		c.told[theLink] = false
		if c.held.till > now {
			h.Held = append(h.Held, c.held.After(c.held.TTL-(c.held.till-now)))
		}
	}
	slices.SortFunc(h.Held, func(a, b Directive) int { return a.Circuit.Compare(b.Circuit) })
	return h
}

// Sample reads what the breakers counted since the last time; the shell calls it
// once per BucketWidth while anything is active. It reports whether anything is.
func (r *Replica) Sample(now time.Duration) (active bool) {
	r.drain(now)
	r.sampled = now
	keep := r.active[:0]
	r.wake = never
	for _, c := range r.active {
		c.expire(now)
		if c.sample(now) {
			c.lastSeen = now
			if c.hot || c.slow {
				r.hurry(now)
			}
		}
		r.wake = min(r.wake, c.wake())
		if c.held.till > now || !c.own.calm() && c.own.till > now || len(c.ruled) > 0 || now-c.lastSeen < forgetIdle || c.Breaker.View().State != breaker.Closed || c.evidence(now) {
			keep = append(keep, c)
		} else {
			c.active = false
		}
	}
	clear(r.active[len(keep):])
	r.active = keep
	return len(r.active) > 0
}

// drain takes over what calls have left.
func (r *Replica) drain(now time.Duration) {
	r.inboxMu.Lock()
	in := r.inbox
	r.inbox = inbox{}
	r.inboxMu.Unlock()
	for _, c := range in.born {
		if _, waits := r.early[c.ID]; waits {
			r.activate(c, now)
		}
	}
	for _, c := range in.active {
		r.activate(c, now)
	}
	for _, c := range in.changed {
		if c.watch == nil {
			continue // its first report tells
		}
		c.told = [readers]bool{}
		r.activate(c, now)
		c.release(now)
	}
	for _, c := range in.failed {
		r.activate(c, now)
		r.hurry(now)
	}
	if len(in.answers) > 0 {
		r.answers = append(r.answers, in.answers...)
		r.read[theLink].urgent = now - UrgentGather // answers to leases go at once
	}
}

func (r *Replica) activate(c *Circuit, now time.Duration) {
	first := c.watch == nil
	if first {
		c.watch = new(watch)
		r.circuits[c.ID] = c
	}
	c.lastSeen = now
	if !c.active {
		c.active = true
		r.active = append(r.active, c)
	}
	if first {
		r.deliver(c, now)
	}
}

// deliver puts the word in force that has waited for the circuit.
func (r *Replica) deliver(c *Circuit, now time.Duration) {
	w, ok := r.early[c.ID]
	if !ok {
		return
	}
	delete(r.early, c.ID)
	r.waiting.Store(len(r.early) > 0)
	if d := w.After(now - w.at); d.longest() > 0 {
		c.obey(now, d)
	}
}

// Forget drops a circuit that is Idle: the shell has no use for it.
func (r *Replica) Forget(c *Circuit) {
	if r.circuits[c.ID] == c {
		delete(r.circuits, c.ID)
	}
	c.watch = nil
}

// hurry makes the next report urgent, and says so: who waits for a calm one would
// else learn of it too late.
func (r *Replica) hurry(now time.Duration) {
	if r.read[ownControl].urgent == 0 {
		r.read[ownControl].urgent = now
	}
	if r.read[theLink].urgent == 0 {
		r.read[theLink].urgent = now
		r.sink.Due()
	}
}

// Idle reports whether no circuit is active, so that nothing is ever due.
func (r *Replica) Idle() bool { return len(r.active) == 0 && len(r.answers) == 0 }

// Wake is, as of the last sample, until when only calls can bring anything to
// sample. Who counts calls may leave out the samples before it of buckets
// without any.
func (r *Replica) Wake() time.Duration { return r.wake }

// Due is when the next report is, given that nothing more happens.
func (r *Replica) Due(now time.Duration) time.Duration {
	r.drain(now)
	return r.dueFor(theLink)
}

func (r *Replica) dueFor(to reader) time.Duration {
	last, urgent := r.read[to].last, r.read[to].urgent
	calm := (last+CalmInterval-r.phase)/CalmInterval*CalmInterval + r.phase
	if calm <= last {
		calm += CalmInterval
	}
	if urgent != 0 {
		return min(calm, max(urgent+UrgentGather, last+UrgentInterval))
	}
	return calm
}

// Report is what was seen since the last one; ok is false where there is nothing
// to say.
func (r *Replica) Report(now time.Duration) (rep Report, ok bool) {
	rep = r.reportTo(theLink, now)
	rep.Answers, r.answers = r.answers, nil
	if len(rep.Circuits) == 0 && len(rep.Answers) == 0 {
		return Report{}, false
	}
	r.sequence++
	rep.Sequence = r.sequence
	return rep, true
}

// reportTo is what one reader has not heard yet.
func (r *Replica) reportTo(to reader, now time.Duration) (rep Report) {
	r.Sample(now)
	r.read[to].last, r.read[to].urgent = now, 0
	for _, c := range r.active {
		if to == ownControl && !c.alone(now) {
			continue
		}
		cr := c.report(now, to)
		if len(cr.Cells) == 0 && cr.Settings == nil && cr.State == breaker.Closed {
			continue
		}
		rep.Circuits = append(rep.Circuits, cr)
	}
	return rep
}

// Final is the last report of a link that closes: all that was gathered, and
// every lease given back.
func (r *Replica) Final(now time.Duration) Report {
	rep, ok := r.Report(now)
	if !ok {
		r.sequence++
		rep.Sequence = r.sequence
	}
	rep.Final = true
	return rep
}

// Obey puts a directive in force; an older one than what is held is ignored.
func (r *Replica) Obey(now time.Duration, d Directive) {
	r.drain(now)
	if d.TTL <= 0 {
		return
	}
	c := r.circuits[d.Circuit]
	if c == nil {
		c = r.sink.Find(d.Circuit)
	}
	if c == nil {
		r.keep(now, d)
		return
	}
	if c.watch != nil && c.held.till > now && !c.held.Epoch.Less(d.Epoch) {
		return
	}
	r.activate(c, now)
	if c.sample(now) && d.Hot {
		r.hurry(now)
	}
	c.obey(now, d)
}

// keep holds a directive for a circuit that nobody has called yet, so that a new
// replica's first call already obeys it.
func (r *Replica) keep(now time.Duration, d Directive) {
	if d.Circuit.Caller != r.id.Service {
		return
	}
	if old, ok := r.early[d.Circuit]; ok && !old.Epoch.Less(d.Epoch) {
		return
	}
	if len(r.early) >= maxEarly {
		for id, w := range r.early {
			if w.ended(now) {
				delete(r.early, id)
			}
		}
		if len(r.early) >= maxEarly {
			return // its first report will bring the directive again
		}
	}
	r.early[d.Circuit] = word{d, now}
	r.waiting.Store(true)
}
