package control

import (
	"math/rand/v2"
	"testing"
	"time"
)

// A ring and a window of its span and steps hold the same, whatever comes late or
// leaps ahead.
func TestARingHoldsWhatAWindowHolds(t *testing.T) {
	for seed := range uint64(200) {
		rng := rand.New(rand.NewPCG(seed, 1))
		var ring newest
		window := newWindow(demandSpan, demandSteps)
		now := time.Duration(rng.Int64N(int64(10 * time.Second)))
		for range 200 {
			now += time.Duration(rng.Int64N(int64(300 * time.Millisecond)))
			if rng.IntN(50) == 0 {
				now += time.Duration(rng.Int64N(int64(20 * time.Second)))
			}
			at := now - time.Duration(rng.Int64N(int64(7*time.Second)))
			x := tally{rng.Uint32N(5), rng.Uint32N(3)}
			ring.add(at, x)
			window.add(at, x)
			steps := 1 + rng.IntN(demandSteps)
			if got, want := ring.sum(now, steps), window.sum(now, steps); got != want {
				t.Fatalf("seed %d, at %v, %d steps: %v: want %v", seed, now, steps, got, want)
			}
		}
	}
}

func TestMergedRingsHoldTheSumOfBoth(t *testing.T) {
	var a, b, both attempts
	for i := range 20 {
		at := time.Duration(i) * time.Second
		x, y := tally{uint32(i), 1}, tally{2, uint32(i % 3)}
		a.add(at, x)
		b.add(at-2*time.Second, y)
		both.add(at, x)
		both.add(at-2*time.Second, y)
	}
	a.merge(&b)
	if got, want := a.sum(19*time.Second, cellSteps), both.sum(19*time.Second, cellSteps); got != want {
		t.Errorf("%v: want %v", got, want)
	}
}
