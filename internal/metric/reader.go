package metric

import (
	"iter"
	"strings"
	"sync"

	"github.com/datapunk/switchgear"
)

// DefaultCircuits is how many circuits have series of their own by default: with
// 11 kinds each they stay below the 2,000 series of one name that OpenTelemetry's
// SDK keeps apart.
// Raising it costs 44 series a circuit.
const DefaultCircuits = 180

// Source is a manager, as a Reader needs it.
type Source interface {
	Metrics() iter.Seq[switchgear.CircuitMetrics]
	Stats() switchgear.Stats
}

// Reader reads a manager's metrics with a bound on their number: circuits beyond
// the cap are summed into one. Which circuits have series of their own does not
// change while they exist. Safe for concurrent use.
type Reader struct {
	source Source
	most   int

	mu   sync.Mutex
	own  map[switchgear.Key]bool // true if it was seen in this reading
	held map[string]held         // of the folded circuits' counters
}

// held keeps a sum from shrinking when a breaker that was in it is gone.
type held struct{ last, lost float64 }

// Sample is one value of one metric.
type Sample struct {
	Metric int // index in List
	Value  float64
	Labels []string // values: the circuit's, if it is of a circuit, then its own
}

// NewReader makes a reader; most circuits have series of their own,
// DefaultCircuits if it is 0.
func NewReader(from Source, most int) *Reader {
	if most <= 0 {
		most = DefaultCircuits
	}
	return &Reader{source: from, most: most, own: make(map[switchgear.Key]bool), held: make(map[string]held)}
}

// Read hands over every sample of the circuits that have series of their own, of
// the sum of the others if there are any, and of the manager; and to circuit, if
// it is not nil, the circuits that have series of their own.
func (r *Reader) Read(sample func(Sample), circuit func(*switchgear.CircuitMetrics)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for k := range r.own {
		r.own[k] = false
	}
	var rest switchgear.CircuitMetrics
	folded := 0
	for c := range r.source.Metrics() {
		if _, known := r.own[c.Key]; !known && len(r.own) >= r.most {
			fold(&rest, &c, folded == 0)
			folded++
			continue
		}
		r.own[c.Key] = true
		if circuit != nil {
			circuit(&c)
		}
		each(&c, sample)
	}
	for k, seen := range r.own {
		if !seen {
			delete(r.own, k)
		}
	}
	if folded > 0 || len(r.held) > 0 {
		if folded == 0 {
			rest.Share = 1
		}
		r.others(&rest, sample)
	}
	s := r.source.Stats()
	for i := range List {
		if f := List[i].manager; f != nil {
			sample(Sample{Metric: i, Value: f(&s, folded)})
		}
	}
}

// each gives the samples of one circuit.
func each(c *switchgear.CircuitMetrics, sample func(Sample)) {
	for i := range List {
		if f := List[i].circuit; f != nil {
			f(c, func(v float64, labels ...string) {
				sample(Sample{i, v, append([]string{c.Key.Namespace, c.Key.Callee, c.Key.Route}, labels...)})
			})
		}
	}
}

// others gives the sum of the circuits beyond the cap. It is in no one state or
// mode; its time in a state grows by a second a second for each breaker in it.
func (r *Reader) others(rest *switchgear.CircuitMetrics, sample func(Sample)) {
	rest.Key = Others
	each(rest, func(s Sample) {
		own := s.Labels[len(CircuitLabels):]
		switch m := &List[s.Metric]; {
		case m.Name == "breaker.state" || m.Name == "breaker.mode":
			return
		case m.Counter:
			k := m.Name + " " + strings.Join(own, " ")
			h := r.held[k]
			h.lost += max(h.last-s.Value, 0)
			h.last = s.Value
			r.held[k] = h
			s.Value += h.lost
		}
		sample(s)
	})
}

// Others is the key under which circuits beyond the cap are summed. It has no
// namespace, and so is no circuit's.
var Others = switchgear.Key{Callee: "other"}

// fold adds the figures of one circuit.
func fold(to, c *switchgear.CircuitMetrics, first bool) {
	if first || c.Share < to.Share {
		to.Share = c.Share
	}
	to.Succeeded += c.Succeeded
	to.LateSucceeded += c.LateSucceeded
	to.Failed += c.Failed
	to.LateFailed += c.LateFailed
	to.Ignored += c.Ignored
	to.Inherited += c.Inherited
	to.Shadow += c.Shadow
	to.ShadowFailed += c.ShadowFailed
	to.Released += c.Released
	to.Slow += c.Slow
	to.Latency += c.Latency
	to.LateLatency += c.LateLatency
	for i, n := range c.Rejected {
		to.Rejected[i] += n
	}
	for i, n := range c.Kinds {
		to.Kinds[i] += n
	}
	for i, d := range c.InState {
		to.InState[i] += d
		for j, n := range c.Transitions[i] {
			to.Transitions[i][j] += n
		}
	}
	to.Instances += c.Instances
	to.InstancesOpen += c.InstancesOpen
}
