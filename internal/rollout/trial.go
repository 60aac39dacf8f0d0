package rollout

import (
	"cmp"
	"slices"
	"time"

	"github.com/datapunk/switchgear/breaker"
	"github.com/datapunk/switchgear/internal/control"
	"github.com/datapunk/switchgear/internal/fleet"
	"github.com/datapunk/switchgear/policy"
)

// Trial evaluates a change on live evidence. For each circuit that it concerns two
// lanes play the calls whose outcomes are known: real breakers with real control
// over them, once with the changed settings and once with those before. Beside that
// it measures what replicas that run on the change do.
//
// What it can't see: calls that were rejected, which are counted as unknown; how
// long each single call took, of which the mean is played; calls in flight at the
// same time; instances and routes, since a lane is the circuit as a whole; strategies.
type Trial struct {
	seed     uint64
	settings func(policy.Circuit) (now, then *policy.Settings)
	edges    map[policy.Circuit]*edge
	order    []*edge
	skipped  map[policy.Circuit]bool
	members  map[fleet.ReplicaID]*member
	pairs    int // of replicas and circuits that are told apart
	breakers int // of them that have breakers of their own
	stage    Stage
}

// member is a replica that reports circuits on trial.
type member struct{ edges, onTrial int }

const (
	// Evidence is played when it can be expected to be complete: calm replicas
	// report once a second.
	settle = 1500 * time.Millisecond
	slots  = 64
	// maxEdges bounds a trial; a change that concerns more circuits is judged by the
	// first ones that have calls.
	maxEdges   = 500
	maxSkipped = 100_000
	// maxPairs bounds how many replicas of how many circuits are told apart. What the
	// others say counts as said by replicas that do not run on the change.
	maxPairs = 200_000
	// maxBreakers bounds how many replicas of how many circuits are given breakers of
	// their own, where settings have thresholds. Calls of the others go through the
	// fleet's alone.
	maxBreakers = 4000
	// maxShares bounds how many replicas' calls of a step are told apart.
	maxShares = 256
	// mostCalls is how many calls of a step are played: more are weighed.
	mostCalls = 400
)

// NewTrial evaluates what settings gives of each circuit: those in force, and the
// changed ones. Circuits for which both say the same are left out.
func NewTrial(seed uint64, settings func(policy.Circuit) (now, then *policy.Settings)) *Trial {
	return &Trial{seed: seed, settings: settings, edges: make(map[policy.Circuit]*edge), skipped: make(map[policy.Circuit]bool), members: make(map[fleet.ReplicaID]*member)}
}

// edge is one circuit on trial.
type edge struct {
	id       policy.Circuit
	now      *lane // settings in force when the trial began
	then     *lane // the changed ones
	revision string
	replicas map[fleet.ReplicaID]*seen
	steps    [slots]step
	head     int64 // the next step that is to be played

	// Since the stage began: what replicas did that run on the change, and the
	// others, and what the two lanes say.
	onTrial, others Side
	evaluated       [2]Side // now, then
	calls, unknown  float64
	goodShare       float64 // of the calls known lately
	nobody          *seen   // for calls of replicas that are not told apart
}

// seen is what a replica has last said of a circuit.
type seen struct {
	onTrial  bool
	state    breaker.State
	breakers [2]*breaker.Breaker // in the lanes: now, then
	// What of its calls was not played yet: parts of calls, where steps are weighed.
	goodLeft, badLeft float64
}

// step is 100 ms of evidence.
type step struct {
	good, bad, rejected [2]float64 // of others, and of those on trial
	shadow              float64
	kinds               [breaker.Kinds]float64
	latency             time.Duration // sum over the good
	shares              []share
}

// share of a step is what one replica saw.
type share struct {
	replica   *seen
	good, bad float64
}

// Stage begins a stage: numbers start anew, what the lanes know stays.
func (t *Trial) Stage(s Stage) {
	t.stage = s
	for _, e := range t.order {
		e.onTrial, e.others, e.evaluated = Side{}, Side{}, [2]Side{}
		e.calls, e.unknown = 0, 0
	}
}

// Report takes what a replica saw.
func (t *Trial) Report(at time.Duration, r *control.ReplicaReport) {
	for i := range r.Circuits {
		cr := &r.Circuits[i]
		e := t.edge(at, policy.Circuit{Caller: r.From.Service, Callee: cr.Callee, Route: cr.Route})
		if e != nil {
			e.report(at, t.seen(e, r.From, cr), cr)
		}
	}
	if r.Final {
		t.Gone(r.From)
	}
}

// Gone forgets a replica.
func (t *Trial) Gone(id fleet.ReplicaID) {
	m := t.members[id]
	if m == nil {
		return
	}
	for _, e := range t.order {
		if r := e.replicas[id]; r != nil && r.breakers != [2]*breaker.Breaker{} {
			t.breakers--
		}
		delete(e.replicas, id)
	}
	t.pairs -= m.edges
	delete(t.members, id)
}

// seen gives what a replica last said of a circuit, brought up to what it says now.
func (t *Trial) seen(e *edge, id fleet.ReplicaID, cr *fleet.CircuitReport) *seen {
	r := e.replicas[id]
	if r == nil {
		if t.pairs >= maxPairs {
			return e.nobody
		}
		t.pairs++
		r = &seen{state: cr.State}
		if t.breakers < maxBreakers {
			r.breakers = [2]*breaker.Breaker{e.now.breaker(), e.then.breaker()}
			t.breakers++
		}
		e.replicas[id] = r
		if t.members[id] == nil {
			t.members[id] = &member{}
		}
		t.members[id].edges++
	}
	if cr.Settings != nil {
		on := cr.Settings.Revision == e.revision
		if on && !r.onTrial {
			t.members[id].onTrial++
		} else if !on && r.onTrial {
			t.members[id].onTrial--
		}
		r.onTrial = on
	}
	return r
}

func (t *Trial) edge(at time.Duration, id policy.Circuit) *edge {
	if e := t.edges[id]; e != nil {
		return e
	}
	if t.skipped[id] || len(t.order) >= maxEdges || id.Validate() != nil {
		return nil
	}
	now, then := t.settings(id)
	if now == nil || then == nil || now.Same(then) {
		if len(t.skipped) < maxSkipped {
			t.skipped[id] = true
		}
		return nil
	}
	e := &edge{
		id: id, now: newLane(at, t.seed, id, now), then: newLane(at, t.seed, id, then), revision: then.Revision,
		replicas: make(map[fleet.ReplicaID]*seen), head: int64(at / fleet.BucketWidth), goodShare: 1, nobody: &seen{},
	}
	t.edges[id] = e
	t.order = append(t.order, e)
	return e
}

func (e *edge) report(at time.Duration, r *seen, cr *fleet.CircuitReport) {
	group := 0
	if r.onTrial {
		group = 1
	}
	if cr.State == breaker.Open && r.state == breaker.Closed {
		e.group(group).Opened++
	}
	r.state = cr.State
	for i := range cr.Cells {
		for j := range cr.Cells[i].Buckets {
			b := &cr.Cells[i].Buckets[j]
			n := int64((at - b.Age) / fleet.BucketWidth)
			if b.Age < 0 || n < e.head || n >= e.head+slots {
				continue
			}
			s := &e.steps[n%slots]
			good, bad := float64(b.Succeeded+b.LateSucceeded), float64(b.Failed+b.LateFailed)
			s.good[group] += good
			s.bad[group] += bad
			if good+bad > 0 {
				s.add(r, e.nobody, good, bad)
			}
			s.rejected[group] += float64(b.Rejected)
			s.shadow += float64(b.Shadow)
			s.latency += b.Latency + b.LateLatency
			for k, n := range b.Kinds {
				s.kinds[k] += float64(n)
			}
		}
	}
}

// add a replica's calls to its share; beyond maxShares they are nobody's.
func (s *step) add(r, nobody *seen, good, bad float64) {
	for i := range s.shares {
		if x := &s.shares[i]; x.replica == r {
			x.good += good
			x.bad += bad
			return
		}
	}
	if r != nobody && len(s.shares) >= maxShares {
		s.add(nobody, nobody, good, bad)
		return
	}
	s.shares = append(s.shares, share{r, good, bad})
}

// kind of a failure, by its place among all of the step.
func (s *step) kind(place float64) breaker.Kind {
	all := 0.0
	for _, n := range s.kinds {
		all += n
	}
	place *= all
	for k, n := range s.kinds {
		if place -= n; place < 0 {
			return breaker.Kind(k)
		}
	}
	return breaker.ServerError
}

// calls of the step in their order: each replica's spread evenly, good and bad ones
// mixed.
func (s *step) calls(at time.Duration) (calls []call) {
	known := s.good[0] + s.good[1] + s.bad[0] + s.bad[1]
	weight := max(1, known/mostCalls)
	for i := range s.shares {
		x := &s.shares[i]
		r := x.replica
		r.goodLeft += x.good / weight
		r.badLeft += x.bad / weight
		good, bads := int(r.goodLeft), int(r.badLeft)
		r.goodLeft -= float64(good)
		r.badLeft -= float64(bads)
		n := good + bads
		phase := float64(i) / float64(len(s.shares))
		for j := range n {
			place := (float64(j) + phase) / float64(n)
			calls = append(calls, call{
				at: at + time.Duration(place*float64(fleet.BucketWidth)), replica: r,
				bad: (j+1)*bads/n > j*bads/n, kind: s.kind(place), weight: weight,
			})
		}
	}
	slices.SortStableFunc(calls, func(a, b call) int { return cmp.Compare(a.at, b.at) })
	return calls
}

func (e *edge) group(i int) *Side {
	if i == 1 {
		return &e.onTrial
	}
	return &e.others
}

// Advance plays what is complete by now.
func (t *Trial) Advance(now time.Duration) {
	last := int64((now - settle) / fleet.BucketWidth)
	for _, e := range t.order {
		// Of a time in which nobody looked, nothing is known.
		e.head = max(e.head, last-slots)
		for ; e.head < last; e.head++ {
			e.play(&e.steps[e.head%slots], time.Duration(e.head)*fleet.BucketWidth)
			e.steps[e.head%slots] = step{}
		}
	}
}

// recent is the weight of a step's calls in what is known of late.
const recent = 0.2

func (e *edge) play(s *step, at time.Duration) {
	good, bad := s.good[0]+s.good[1], s.bad[0]+s.bad[1]
	if known := good + bad; known > 0 {
		e.goodShare += recent * (good/known - e.goodShare)
	}
	e.calls += good + bad + s.rejected[0] + s.rejected[1] + s.shadow
	e.unknown += s.rejected[0] + s.rejected[1] + s.shadow
	for i := range 2 {
		m := e.group(i)
		// What was rejected would have gone as calls of the same time go.
		blockedGood := s.rejected[i] * e.goodShare
		m.Good += s.good[i] + blockedGood
		m.Bad += s.bad[i] + s.rejected[i] - blockedGood
		m.BlockedGood += blockedGood
		m.PassedBad += s.bad[i]
	}
	latency := time.Duration(0)
	if good > 0 {
		latency = time.Duration(float64(s.latency) / good)
	}
	calls := s.calls(at)
	for i, l := range []*lane{e.now, e.then} {
		l.play(at, calls, latency, i, &e.evaluated[i])
	}
}

// Numbers of the stage so far.
func (t *Trial) Numbers() Numbers {
	var n Numbers
	for _, e := range t.order {
		n.Calls += e.calls
		n.Unknown += e.unknown
		if e.calls > 0 {
			n.Circuits++
		}
		candidate, current := &e.onTrial, &e.others
		if t.stage == MetricsOnly {
			candidate = &e.evaluated[1]
		}
		if t.stage != Canary {
			current = &e.evaluated[0]
		}
		n.Candidate.add(candidate)
		n.Current.add(current)
	}
	n.Replicas = len(t.members)
	for _, m := range t.members {
		if m.onTrial > 0 {
			n.OnTrial++
		}
	}
	return n
}

func (s *Side) add(o *Side) {
	s.Good += o.Good
	s.Bad += o.Bad
	s.BlockedGood += o.BlockedGood
	s.PassedBad += o.PassedBad
	s.Opened += o.Opened
}
