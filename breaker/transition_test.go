package breaker

import (
	"math/rand/v2"
	"testing"
	"time"
)

// TestOnlyLegalTransitions drives breakers at random through all that can happen
// to them and compares each change with a table of its own.
func TestOnlyLegalTransitions(t *testing.T) {
	type step struct{ from, to State }
	alone := map[step]bool{
		{Closed, Open}: true, {Open, HalfOpen}: true, {HalfOpen, Open}: true, {HalfOpen, Closed}: true,
	}
	seen := make(map[step]bool)
	for seed := range uint64(60) {
		rng := rand.New(rand.NewPCG(seed, 1))
		r := &recorder{}
		s := simple()
		s.MinimumNumberOfCalls = 4
		s.Ramp = Ramp{StepPercents: []float64{50}}
		m := start(t, s, r)
		moded, directed := false, seed%3 == 0
		for range 400 {
			m.pass(time.Duration(rng.IntN(400)) * time.Millisecond)
			switch k := rng.IntN(20); {
			case k == 0 && directed:
				m.Direct(Direction{State: State(rng.IntN(3)), Share: rng.Float64(), Generation: rng.Uint64N(5), Until: m.now + time.Second})
			case k == 1 && directed:
				m.Grant(rng.Uint64(), m.now+time.Second)
			case k == 2 && seed%3 == 1:
				moded = true
				m.SetMode(Mode(rng.IntN(4)), "")
			default:
				if p, err := m.Acquire(); err == nil {
					p.Done(Outcome{Verdict: Verdict(rng.IntN(3))})
				}
			}
		}
		for _, c := range r.changes {
			x := step{c.From, c.To}
			seen[x] = true
			switch forced := c.FromMode == ForcedOpen && c.ToMode != ForcedOpen; {
			case c.From == c.To && c.FromMode == c.ToMode:
				t.Errorf("seed %d: told of no change: %+v", seed, c)
			case forced && c.To != HalfOpen:
				t.Errorf("seed %d: a forced opening ended %v", seed, c.To)
			case !forced && c.FromMode == ForcedOpen && c.From != c.To:
				t.Errorf("seed %d: moved under forced_open: %+v", seed, c)
			case c.From != c.To && !directed && !forced && !alone[x]:
				t.Errorf("seed %d: %v → %v", seed, c.From, c.To)
			case c.FromMode != c.ToMode && !moded:
				t.Errorf("seed %d: the mode changed by itself", seed)
			}
		}
	}
	for x := range alone {
		if !seen[x] {
			t.Errorf("%v → %v never happened", x.from, x.to)
		}
	}
}

func TestTransitionTable(t *testing.T) {
	n := 0
	for by := range legal {
		for from := range legal[by] {
			for to, ok := range legal[by][from] {
				if ok {
					n++
				}
				if ok && cause(by) < byFleet && from == to {
					t.Errorf("cause %d: %v → itself", by, State(from))
				}
			}
		}
	}
	if n != 4+9+5 {
		t.Errorf("%d ways, want 18", n)
	}
}
