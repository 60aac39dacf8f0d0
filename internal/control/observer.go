package control

import (
	"maps"
	"math"
	"time"

	"github.com/datapunk/switchgear/internal/fleet"
)

// observer is one credential at one address, whatever replicas it reports for.
type observer struct {
	name   string
	rows   int // whose observer it is
	demand newest
}

// by is the name of who saw a row; what is folded together has none.
func (r *row) by() string {
	if r.observer == nil {
		return ""
	}
	return r.observer.name
}

// observer gives the one of a name, and makes it where there is none.
func (c *circuit) observer(name string) *observer {
	o := c.observers[name]
	if o == nil {
		o = &observer{name: name}
		c.observers[name] = o
	}
	return o
}

// seenBy says who sees a row from now on.
func (c *circuit) seenBy(r *row, name string) {
	if r.observer != nil && r.observer.name == name {
		return
	}
	if r.observer != nil {
		r.observer.rows--
		c.strays = c.strays || r.observer.rows == 0
	}
	r.observer = c.observer(name)
	r.observer.rows++
}

// forgetObserver forgets who has seen a row that is gone, and whoever else sees
// none any more.
func (c *circuit) forgetObserver(r *row) {
	if r.observer.rows--; r.observer.rows == 0 {
		delete(c.observers, r.observer.name)
	}
	if c.strays {
		c.strays = false
		maps.DeleteFunc(c.observers, func(_ string, o *observer) bool { return o.rows == 0 })
	}
}

// present counts the observers with calls lately.
func (c *circuit) present(now time.Duration) (n int) {
	for _, o := range c.observers {
		if o.demand.sum(now, demandSteps).n > 0 {
			n++
		}
	}
	return n
}

// weigh caps what an observer can say with a report, by what all others said
// lately.
func (c *circuit) weigh(now time.Duration, r *row, cr *fleet.CircuitReport) float64 {
	if len(c.observers) < 3 || c.callee.trusting {
		return 1
	}
	said := 0.0
	for i := range cr.Cells {
		for j := range cr.Cells[i].Buckets {
			said += float64(cr.Cells[i].Buckets[j].Offered)
		}
	}
	n := said + float64(r.observer.demand.sum(now, demandSteps).n)
	if n <= observerFloor {
		return 1 // as anyone may say
	}
	return observerWeight(n, said+float64(c.demand.sum(now, demandSteps).n), len(c.observers))
}

// demandScale caps what an observer's calls are worth as demand: a share of probes
// or of a ramp is chosen by it, and who claims a thousand times the others' calls
// would leave them none of it.
func (c *circuit) demandScale(now time.Duration, r *row) float64 {
	if len(c.observers) < 3 || c.callee.trusting {
		return 1
	}
	n := float64(r.observer.demand.sum(now, demandSteps).n)
	most := max(observerFloor, demandSkew*(float64(c.demand.sum(now, demandSteps).n)-n))
	if n <= most {
		return 1
	}
	return most / n
}

// apply adds a bucket to a target's flow, with what its observer may say. While
// the target is not closed few calls are answered, and of one observer as many
// failures are heard as all others have had answers.
func (c *circuit) apply(now time.Duration, r *row, t *target, at time.Duration, b *fleet.Bucket, current bool, weight float64) {
	if current && !t.calmly() && b.Succeeded+b.Failed > 0 && !c.callee.trusting && c.present(now) >= 3 {
		if heard := t.flow.heed(r.by(), b.Succeeded, b.Failed); heard < b.Failed {
			b, weight = fewerFailures(b, heard), 1
		}
	}
	apply(t, at, b, current, weight)
}

// heed tells how many failures of an observer count in this generation.
func (f *flow) heed(observer string, ok, failed uint32) uint32 {
	if f.heard == nil {
		f.heard = make(map[string]tally)
	}
	own := f.heard[observer]
	counts := min(failed, max(failuresFloor, f.heardAll-own.n)-min(own.k, max(failuresFloor, f.heardAll-own.n)))
	own.n, own.k = own.n+ok+counts, own.k+counts
	f.heard[observer] = own
	f.heardAll += ok + counts
	return counts
}

// othersFail reports whether, of three observers or more, others than the one with
// the most failures see some too.
func (f *flow) othersFail() bool {
	const some = 3
	sum, top := uint32(0), uint32(0)
	for _, t := range f.heard {
		sum, top = sum+t.k, max(top, t.k)
	}
	return len(f.heard) < 3 || sum-top >= some
}

// fewerFailures is a bucket of which so many failures count.
func fewerFailures(b *fleet.Bucket, heard uint32) *fleet.Bucket {
	s := *b
	share := float64(heard) / float64(b.Failed)
	for _, n := range []*uint32{&s.LateFailed, &s.RetriedFailed} {
		*n = uint32(share * float64(*n))
	}
	for i := range s.Kinds {
		s.Kinds[i] = uint32(math.Round(share * float64(s.Kinds[i])))
	}
	s.Failed = heard
	return &s
}

// seers are the observers with calls lately, and those of them that see failures
// now: how many, and how far their own sums go without the one who sees most.
func (c *circuit) seers(now time.Duration) (present, failing int, others float64) {
	sums := make(map[*observer]float64, len(c.observers))
	top := 0.0
	for _, r := range c.rows {
		if r.own == nil && r.sum > 0 {
			sums[r.observer] = max(sums[r.observer], r.sum)
		}
	}
	present = c.present(now)
	for _, x := range sums {
		failing++
		top = max(top, x)
	}
	for _, r := range c.rows {
		if x, ok := sums[r.observer]; ok {
			others += x
			delete(sums, r.observer)
		}
	}
	return present, failing, others - top
}
