package evaluate

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/datapunk/switchgear/breaker"
	"github.com/datapunk/switchgear/internal/control"
	"github.com/datapunk/switchgear/internal/sim/fault"
	"github.com/datapunk/switchgear/policy"
)

// Properties are rules that hold for any seed. Each is tried on a few in `go test`,
// on many by `make properties`; a failing seed prints the command that plays it
// again.
var (
	seedCount = flag.Int("seeds", 20, "seeds that each property is tried on")
	oneSeed   = flag.Uint64("seed", 0, "the one seed to play, of the property that -run names")
)

// trial is one seed of a property.
type trial struct {
	testing.TB
	*rand.Rand
	seed    uint64
	callers int
	failed  bool
}

// tryOut tries a property on seeds: of eighty, one is of 1,000 replicas, four of
// 200, a third of 10 and the others of 1. It must hold on each.
func tryOut(t *testing.T, rule func(*trial)) {
	t.Helper()
	tryMostly(t, 0, rule)
}

// tryMostly is for what chance has a part in: it may fail on so many seeds of a
// hundred, rounded down.
func tryMostly(t *testing.T, tolerated int, rule func(*trial)) {
	t.Helper()
	t.Parallel()
	first, last := uint64(1), uint64(*seedCount)
	if *oneSeed != 0 {
		first, last = *oneSeed, *oneSeed
	}
	// Large fleets take long: each property has its own seeds for them.
	shift := uint64(0)
	for _, c := range t.Name() {
		shift = 31*shift + uint64(c)
	}
	failed := 0
	for seed := first; seed <= last; seed++ {
		x := &trial{TB: t, Rand: rand.New(rand.NewPCG(seed, 0x9a)), seed: seed, callers: 1}
		switch n := (seed + shift) % 80; {
		case n == 0:
			x.callers = 1000
		case n%20 == 10:
			x.callers = 200
		case n%3 == 0:
			x.callers = 10
		}
		rule(x)
		if x.failed {
			failed++
			t.Logf("again: go test ./internal/sim/evaluate -run '^%s$' -seed %d", t.Name(), seed)
		}
	}
	if most := int(last-first+1) * tolerated / 100; failed > most {
		t.Errorf("%d of %d seeds fail: %d may", failed, last-first+1, most)
	}
}

// Errorf says with the seed what does not hold.
func (x *trial) Errorf(format string, args ...any) {
	x.Helper()
	x.failed = true
	x.Logf("seed %d, %d replicas: "+format, append([]any{x.seed, x.callers}, args...)...)
}

func (x *trial) in(lo, hi float64) float64  { return lo + (hi-lo)*x.Float64() }
func (x *trial) log(lo, hi float64) float64 { return lo * math.Pow(hi/lo, x.Float64()) }

func (x *trial) span(lo, hi time.Duration) time.Duration {
	return time.Duration(x.log(float64(lo), float64(hi)))
}

// onset is when faults of episodes made by hand begin.
const onset = 10 * time.Second

// episode is calm, of so many calls a second and with room in the time-out.
func (x *trial) episode(length time.Duration, least, most float64) *fault.Episode {
	latency := x.span(3*time.Millisecond, 100*time.Millisecond)
	return &fault.Episode{
		Family: "by hand", Seed: x.seed, Duration: length,
		Timeout:   max(x.span(250*time.Millisecond, 2*time.Second), 8*latency),
		Instances: 1 + x.IntN(6), Spread: x.in(.15, .5), Patience: x.span(300*time.Millisecond, 5*time.Second),
		Calm: fault.Weather{Rate: x.log(least, most), Fail: x.in(0, .02), Latency: latency},
	}
}

// outage makes all calls fail from onset to end, at once or by no answer.
func (x *trial) outage(e *fault.Episode, end time.Duration) (hangs bool) {
	down := e.Calm
	if hangs = x.IntN(2) == 0; hangs {
		down.Hang = 1
	} else {
		down.Fail = 1
	}
	e.Change(onset, end, down, down)
	return hangs
}

// life is what switchgear made of an episode.
type life struct {
	*world
	outcome
	fleet  *switchgear
	sights []sight
	ends   []time.Duration // of good answers
	said   bytes.Buffer    // all that control says
}

// sight is what control says at one moment, and how many replicas are not closed.
type sight struct {
	at    time.Duration
	state breaker.State
	phase string
	share float64
	shut  int
	why   string
}

func (s sight) whole() bool { return s.state == breaker.Closed && s.phase == "" && s.share >= 1 }

func (s sight) String() string {
	return fmt.Sprintf("at %.2f s %v %s, %.3f let through, %d shut: %s", s.at.Seconds(), s.state, s.phase, s.share, s.shut, s.why)
}

// live plays an episode and looks every 100 ms.
func (x *trial) live(e *fault.Episode) *life { return liveThrough(newLoad(e, x.callers), true) }

func liveThrough(l *load, look bool) *life {
	v := &life{world: newWorld(l), fleet: newSwitchgear(l.callers, l.Instances, l.Seed, l.Timeout)}
	w := v.fleet.world
	w.Outputs = func(o control.Output) {
		line, err := json.Marshal(o)
		if err != nil {
			panic(err) // control has said a number that is none
		}
		v.said.Write(line)
	}
	edge := policy.Circuit{Caller: policy.Service{Namespace: "lab", Name: "caller"}, Callee: policy.Service{Namespace: "lab", Name: "callee"}}
	var again func()
	again = func() {
		if c, known := w.Mind().Circuit(edge); known {
			s := sight{at: w.Now(), state: c.State, phase: c.Phase, share: c.Share, why: c.Why}
			for i := range v.fleet.ends {
				if v.fleet.ends[i].circuit.Breaker.View().State != breaker.Closed {
					s.shut++
				}
			}
			v.sights = append(v.sights, s)
		}
		w.After(100*time.Millisecond, again)
	}
	if look {
		w.At(time.Second, again)
	}
	v.outcome = v.play(&heard{v.fleet, v})
	return v
}

// heard is switchgear with an ear on what its calls come to.
type heard struct {
	*switchgear
	life *life
}

func (h *heard) done(c *call, o breaker.Outcome) {
	if o.Verdict == breaker.Success {
		h.life.ends = append(h.life.ends, c.At+o.Latency)
	}
	h.switchgear.done(c, o)
}

// good are the good answers of a span of time.
func (v *life) good(from, to time.Duration) float64 {
	a, _ := slices.BinarySearch(v.ends, from)
	b, _ := slices.BinarySearch(v.ends, to)
	return float64(b - a)
}

// between are the sights of a span of time.
func (v *life) between(from, to time.Duration) []sight {
	before := func(s sight, t time.Duration) int { return int(s.at - t) }
	a, _ := slices.BinarySearchFunc(v.sights, from, before)
	b, _ := slices.BinarySearchFunc(v.sights, to, before)
	return v.sights[a:b]
}

// calls that were offered and admitted in a span of time.
func (v *life) calls(from, to time.Duration) (sum tick) {
	for _, t := range v.ticks[from/tickWidth : min(to/tickWidth, time.Duration(len(v.ticks)))] {
		sum.offered += t.offered
		sum.admitted += t.admitted
	}
	return sum
}

// nth is when so many calls were offered from a time on, 0 if there are less.
func (v *life) nth(from time.Duration, n int) time.Duration {
	i, _ := slices.BinarySearchFunc(v.load.calls, from, func(c call, t time.Duration) int { return int(c.At - t) })
	if i+n > len(v.load.calls) {
		return 0
	}
	return v.load.calls[i+n-1].At
}

// shut is when no replica is closed any more, from a time on; 0 is never.
func (v *life) shut(from time.Duration) time.Duration {
	for _, s := range v.between(from, v.Duration) {
		if s.shut == v.callers {
			return s.at
		}
	}
	return 0
}

// trips are the openings of the fleet as one, from fully closed.
func (v *life) trips() (n int) {
	for i, s := range v.sights {
		if i > 0 && s.state != breaker.Closed && v.sights[i-1].whole() {
			n++
		}
	}
	return n
}

// say tells what an episode was.
func say(e *fault.Episode) string {
	return fmt.Sprintf("%.1f calls/s, latency %v, spread %.2f, time-out %v, patience %v, %d instances", e.Calm.Rate, e.Calm.Latency, e.Spread, e.Timeout, e.Patience, e.Instances)
}
