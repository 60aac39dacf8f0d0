package story

import (
	"math"
	"slices"
)

// Live is a row that was measured with real parts; NaN is what could not be
// measured, and is not kept.
func Live(scenario int, measure, op string, promised, measured float64) Row {
	p := promise{measure: measure, op: op, promised: promised}
	r := Row{Scenario: scenario, Name: nameOf(scenario), Measure: measure, Promised: promised, Op: op, Peers: map[string]float64{}, Seeds: 1, Live: true}
	if !math.IsNaN(measured) {
		r.Measured, r.Kept = &measured, p.holds(measured)
	}
	return r
}

// LivePending is a row that waits for something else.
func LivePending(scenario int, measure, op string, promised float64, pending string) Row {
	r := Live(scenario, measure, op, promised, math.NaN())
	r.Pending, r.Seeds = pending, 0
	return r
}

func nameOf(scenario int) string {
	return chapters[slices.IndexFunc(chapters, func(c chapter) bool { return c.number == scenario })].name
}

// Settle gives a row that was pending its figure, measured elsewhere.
func (r *Row) Settle(measured float64) {
	p := promise{op: r.Op, promised: r.Promised}
	r.Measured, r.Kept, r.Pending, r.Seeds = &measured, p.holds(measured), "", 1
}
