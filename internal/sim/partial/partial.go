// Package partial draws cases of where in a callee a fault sits: who called
// which instance on which route, how much of it failed, and the truth. It knows
// nothing of the code that is measured on it.
package partial

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
)

// Seconds of evidence in a case.
const Seconds = 16

// Cell is what one replica saw of one route and instance in one second.
type Cell struct {
	Second                           int // 0 is the oldest, Seconds-1 the newest
	Replica, Caller, Instance, Route string
	Calls, Failed                    int // first attempts, or all where retries are not marked
	Slow                             int // of the calls that did not fail
}

// Part is a conjunction of labels; an empty label is any. Instances, if set, are
// a set of them, of which a cell must be in one.
type Part struct {
	Replica, Caller, Instance, Route string
	Instances                        []string
	Replicas                         []string // likewise
}

// Holds reports whether a cell is inside the part.
func (p *Part) Holds(c *Cell) bool {
	if p.Replica != "" && p.Replica != c.Replica || p.Caller != "" && p.Caller != c.Caller ||
		p.Instance != "" && p.Instance != c.Instance || p.Route != "" && p.Route != c.Route {
		return false
	}
	return (len(p.Instances) == 0 || slices.Contains(p.Instances, c.Instance)) &&
		(len(p.Replicas) == 0 || slices.Contains(p.Replicas, c.Replica))
}

// Past is a route's history before the case: calls and failures, or slow calls
// where these are the fault.
type Past struct{ Calls, Failed float64 }

// Other is what a replica saw of another callee in the same seconds.
type Other struct {
	Replica, Callee string
	Calls, Failed   int
}

// Whose fault it is, where that can be told: the callee's, that of the network
// between, or of who calls.
const (
	Callee = "callee"
	Path   = "path"
	Caller = "caller"
)

// Case is what was seen, and the truth.
type Case struct {
	Seed     uint64
	Kind     string
	Cells    []Cell
	Truth    []Part          // none: nothing is wrong with a part
	History  map[string]Past // by route
	Strength float64         // added failure probability inside the truth
	Age      int             // seconds since the fault began
	Slow     bool            // the fault makes calls slow; none fails of it

	Elsewhere []Other
	Side      string   // Callee, Path or Caller; "" where it can't be told
	Liars     []string // replicas whose words are not true
}

// Faults are the kinds of case in which a part is bad.
var Faults = []string{
	"whole", "instance", "route", "caller", "replica", "instance x route", "caller x route",
	"replica x instance", "instance set", "two faults", "network path", "instance, noisy route", "slow calls",
}

// Negatives are the kinds in which no part is to be named. A liar claims
// failures at huge volume, colluding ones agree on an instance: no more than
// their own parts may be named for it. A noisy route fails as much as it always
// has, a new one has no past.
var Negatives = []string{"healthy", "raised", "retries marked", "retries unmarked", "noisy route", "new route", "liar", "colluding liars"}

// MinimumCalls went into every bad part while it was bad, and a third as many
// failures were to be expected of the fault: with less no rule can tell the part
// (16 to 27 calls are needed), and the case is drawn again.
const MinimumCalls = 27

// Draw makes the case of a kind and seed; the same ones make the same case.
func Draw(kind string, seed uint64) Case {
	rng := rand.New(rand.NewPCG(seed, 0x70617274))
	for {
		if c, ok := draw(kind, seed, rng); ok {
			c.lookElsewhere(rand.New(rand.NewPCG(seed, 0x656c7365)))
			return c
		}
	}
}

// topology is who calls what, and how often.
type topology struct {
	replicas, callers          []string // callers by replica
	instances, routes          []string
	byReplica, byInst, byRoute []float64
	base                       []float64 // failure probability by route
	volume                     float64   // calls in Seconds
}

func names(prefix string, n int) []string {
	s := make([]string, n)
	for i := range s {
		s[i] = fmt.Sprint(prefix, i)
	}
	return s
}

// shares are skewed: a few take most.
func shares(rng *rand.Rand, n int) []float64 {
	s, sum, skew := make([]float64, n), 0.0, 1.5*rng.Float64()
	for i := range s {
		s[i] = math.Exp(skew * rng.NormFloat64())
		sum += s[i]
	}
	for i := range s {
		s[i] /= sum
	}
	return s
}

func between(rng *rand.Rand, low, high float64) float64 {
	return low * math.Exp(rng.Float64()*math.Log(high/low))
}

func build(rng *rand.Rand) topology {
	replicas := 1 + rng.IntN(30)
	callers := names("caller", 1+rng.IntN(min(replicas, 30)))
	t := topology{
		replicas: names("replica", replicas), instances: names("instance", 1+rng.IntN(30)), routes: names("/route", 1+rng.IntN(30)),
		volume: between(rng, 5, 8000),
	}
	for i := range replicas {
		who := rng.IntN(len(callers))
		if i < len(callers) {
			who = i
		}
		t.callers = append(t.callers, callers[who])
	}
	t.byReplica, t.byRoute = shares(rng, replicas), shares(rng, len(t.routes))
	t.byInst = make([]float64, len(t.instances)) // balanced, not quite evenly
	sum := 0.0
	for i := range t.byInst {
		t.byInst[i] = 0.7 + 0.6*rng.Float64()
		sum += t.byInst[i]
	}
	for i := range t.byInst {
		t.byInst[i] /= sum
	}
	for range t.routes {
		b := 0.0
		switch rng.IntN(4) {
		case 0, 1:
			b = 0.01 * rng.Float64()
		case 2:
			b = 0.05 * rng.Float64()
		}
		t.base = append(t.base, b)
	}
	return t
}

func (t *topology) history(rng *rand.Rand) map[string]Past {
	past := make(map[string]Past, len(t.routes))
	times := between(rng, 4, 200)
	for i, r := range t.routes {
		n := poisson(rng, t.volume*t.byRoute[i]*times)
		past[r] = Past{Calls: float64(n), Failed: float64(binomial(rng, n, t.base[i]))}
	}
	return past
}

func pick(rng *rand.Rand, shares []float64) int {
	x := rng.Float64()
	for i, s := range shares {
		if x -= s; x < 0 {
			return i
		}
	}
	return len(shares) - 1
}

func poisson(rng *rand.Rand, mean float64) int {
	if mean > 50 {
		return max(0, int(math.Round(mean+math.Sqrt(mean)*rng.NormFloat64())))
	}
	n, p := 0, rng.Float64()
	for limit := math.Exp(-mean); p > limit; n++ {
		p *= rng.Float64()
	}
	return n
}

func binomial(rng *rand.Rand, n int, p float64) int {
	if n > 200 {
		mean := float64(n) * p
		return min(n, poisson(rng, mean))
	}
	k := 0
	for range n {
		if rng.Float64() < p {
			k++
		}
	}
	return k
}
