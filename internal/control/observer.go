package control

import (
	"time"

	"github.com/datapunk/switchgear/internal/fleet"
)

// observer is one credential at one address, whatever replicas it reports for.
type observer struct {
	name   string
	demand window
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
		o = &observer{name: name, demand: newWindow(demandSpan, demandSteps)}
		c.observers[name] = o
	}
	return o
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
	n := float64(r.observer.demand.sum(now, demandSteps).n)
	all := float64(c.demand.sum(now, demandSteps).n)
	for i := range cr.Cells {
		for j := range cr.Cells[i].Buckets {
			n += float64(cr.Cells[i].Buckets[j].Offered)
			all += float64(cr.Cells[i].Buckets[j].Offered)
		}
	}
	return observerWeight(n, all, len(c.observers))
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
