package control

import (
	"math"
	"math/rand/v2"
	"reflect"
	"testing"
	"testing/quick"
	"time"

	"github.com/datapunk/switchgear/internal/fleet"
)

func TestTheSteadyTestGoesNowhereAtItsShare(t *testing.T) {
	for share := 0.01; share <= 0.95; share += 0.01 {
		x := steadily(share)
		drift := func(p float64) float64 { return p*x.failed - (1-p)*x.ok }
		if d := drift(share); math.Abs(d) > 1e-6*x.failed {
			t.Errorf("at %.2f it drifts by %g", share, d)
		}
		if drift(share+0.01) <= 0 || drift(share-0.01) >= 0 {
			t.Errorf("at %.2f: not up above and down below", share)
		}
	}
	if d := 2*outright.failed - outright.ok; math.Abs(d) > 0.05 {
		t.Errorf("at two failures in three the fast test drifts by %.3f", d)
	}
}

func TestTheExponentIsWhereWanderingUpIsRare(t *testing.T) {
	for _, x := range []test{outright, partly, steadily(0.2), steadily(0.5), steadily(0.8)} {
		last := math.Inf(1)
		for p := 0.005; p < 0.95; p += 0.005 {
			e := x.exponent(p)
			if e > last {
				t.Fatalf("%+v: at %.3f %.3f, more than at a lower share", x, p, e)
			}
			if last = e; e > 0 && math.Abs(p*math.Exp(e*x.failed)+(1-p)*math.Exp(-e*x.ok)-1) > 1e-6 {
				t.Errorf("%+v: at %.3f %.3f is no root", x, p, e)
			}
		}
		if last != 0 {
			t.Errorf("%+v: %.3f where the sum grows for sure", x, last)
		}
	}
	// What a steady test tells from is the share at which its exponent is one.
	for _, share := range []float64{0.2, 0.5, 0.8} {
		if e := steadily(share).exponent(0.7 * share); math.Abs(e-1) > 1e-6 {
			t.Errorf("at 0.7 of %.1f the exponent is %.4f", share, e)
		}
	}
}

func TestAFailureNeverLowersTheSumAndAGoodAnswerNeverRaisesIt(t *testing.T) {
	rule := func(start float64, failed, ok uint8, share float64) bool {
		x := steadily(math.Mod(math.Abs(share), 1))
		from := math.Mod(math.Abs(start), 50)
		a := x.run(from, float64(failed), float64(ok))
		return x.run(from, float64(failed)+1, float64(ok)) >= a && x.run(from, float64(failed), float64(ok)+1) <= a && a >= 0
	}
	if err := quick.Check(rule, nil); err != nil {
		t.Error(err)
	}
}

func TestAlarmsAreHigherTheMoreCallsAndTheDirtierTheRecord(t *testing.T) {
	for d := 0.1; d < 1e5; d *= 1.5 {
		for p := 0.0; p < 0.6; p += 0.02 {
			a := outrightAlarm(d, p)
			if outrightAlarm(1.5*d, p) <= a || outrightAlarm(d, p+0.02) < a || a < cleanBase || steadyAlarm(1.5*d) <= steadyAlarm(d) {
				t.Fatalf("at %.1f calls/s, %.2f failing in calm: %.2f", d, p, a)
			}
		}
	}
}

func TestARecordBeginsNoisyAndForgets(t *testing.T) {
	var r record
	if r.normal() < noisiest {
		t.Errorf("unknown is taken for %.2f", r.normal())
	}
	last := r.normal()
	for range 200 {
		r.doubt = tally{100, 1}
		r.learn(0)
		if n := r.normal(); n > last {
			t.Fatalf("clean calls raise what is normal from %.4f to %.4f", last, n)
		}
		last = r.normal()
	}
	if r.calls > recordCalls || last > 0.02 || last < 0.01 {
		t.Errorf("%.0f calls remembered, %.4f normal at 1 %%", r.calls, last)
	}
}

// Within the same steps the order in which answers come changes nothing.
func TestOrderWithinAStepChangesNothing(t *testing.T) {
	for seed := range uint64(200) {
		rng := rand.New(rand.NewPCG(seed, 1))
		type answer struct {
			at time.Duration
			b  fleet.Bucket
		}
		var steps [][]answer
		for i := range 1 + rng.IntN(60) {
			var of []answer
			for range rng.IntN(6) {
				n, k := uint32(rng.IntN(9)), uint32(rng.IntN(5))
				of = append(of, answer{time.Second + time.Duration(i)*fleet.BucketWidth, fleet.Bucket{Counts: fleet.Counts{
					Offered: n + k, Succeeded: n, Failed: k, Latency: time.Duration(n) * time.Millisecond,
				}}})
			}
			steps = append(steps, of)
		}
		run := func(shuffle bool) *flow {
			x := &target{flow: flow{fast: outright, slow: steadily(0.5), force: 1}}
			for _, of := range steps {
				if shuffle {
					rng.Shuffle(len(of), func(i, j int) { of[i], of[j] = of[j], of[i] })
				}
				for _, a := range of {
					x.flow.offer(a.at, &a.b, time.Second, 0, 1)
					apply(x, a.at, &a.b, true, 1)
				}
			}
			return &x.flow
		}
		if a, b := run(false), run(true); !reflect.DeepEqual(a, b) || a.sums() != b.sums() {
			t.Fatalf("seed %d: %+v and %+v", seed, a.sums(), b.sums())
		}
	}
}

func TestAnswersOfAnotherGenerationAreNoVerdict(t *testing.T) {
	x := &target{flow: flow{fast: outright, slow: steadily(0.5), force: 1}}
	for i := range 50 {
		at := time.Second + time.Duration(i)*fleet.BucketWidth
		b := fleet.Bucket{Counts: bad(20)}
		apply(x, at, &b, false, 1)
	}
	if x.flow.sums() != (sums{}) || x.news {
		t.Errorf("they move the tests by %+v", x.flow.sums())
	}
	if got := x.flow.span(6*time.Second, 5*time.Second, 0); got.bad != 1000 || got.spoilt != 0 {
		t.Errorf("%d bad, %d for a verdict: want 1000 and none", got.bad, got.spoilt)
	}
}

func TestAnAnswerMoreMovesAFlowsTestsItsWayOnly(t *testing.T) {
	for seed := range uint64(300) {
		rng := rand.New(rand.NewPCG(seed, 2))
		var base flow
		base.fast, base.slow, base.force = outright, steadily(0.2+0.6*rng.Float64()), 1
		n := 1 + rng.IntN(300) // more than the steps hold
		extra := rng.IntN(n)
		run := func(failed, ok float64) sums {
			f, rng := base, rand.New(rand.NewPCG(seed, 3))
			for i := range n {
				s := f.at(time.Duration(i) * fleet.BucketWidth)
				s.failed += float64(rng.IntN(4))
				s.ok += float64(rng.IntN(4))
				if i == extra {
					s.failed, s.ok = s.failed+failed, s.ok+ok
				}
			}
			return f.sums()
		}
		a, worse, better := run(0, 0), run(1, 0), run(0, 1)
		if worse.fast < a.fast || worse.slow < a.slow || better.fast > a.fast || better.slow > a.slow {
			t.Fatalf("seed %d: %+v, with a failure more %+v, with a good answer more %+v", seed, a, worse, better)
		}
	}
}

func TestTheFastTestOpensNothingThatOpenAboveKeepsClosed(t *testing.T) {
	for _, share := range []float64{0.1, 0.5, 0.65, 0.7, 0.8, 0.95} {
		x, y := quickly(share), steadily(share)
		p := share - 0.15
		if p*x.failed > (1-p)*x.ok && x.failed > 0 && share > 0.67 {
			t.Errorf("openAbove %.0f: the fast test rises for sure at %.0f %%", 100*share, 100*p)
		}
		if y.failed <= 0 || (share <= 0.5) != (tolerated(share) == 1) && share < 0.67 {
			t.Errorf("openAbove %.0f: %+v, heights times %.2f", 100*share, x, tolerated(share))
		}
	}
}
