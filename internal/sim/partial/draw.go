package partial

import (
	"math/rand/v2"
	"slices"
)

// truth draws the bad part of a kind; false if the topology can't hold it as
// something of its own.
func (t *topology) truth(kind string, rng *rand.Rand) ([]Part, bool) {
	r, i, q := pick(rng, t.byReplica), pick(rng, t.byInst), pick(rng, t.byRoute)
	many := len(slices.Compact(slices.Sorted(slices.Values(t.callers))))
	alone := 0 // replicas of the caller
	for _, c := range t.callers {
		if c == t.callers[r] {
			alone++
		}
	}
	replicas, instances, routes := len(t.replicas), len(t.instances), len(t.routes)
	switch kind {
	case "whole":
		return []Part{{}}, true
	case "instance", "instance, noisy route":
		return []Part{{Instance: t.instances[i]}}, instances > 1
	case "route":
		return []Part{{Route: t.routes[q]}}, routes > 1
	case "caller":
		return []Part{{Caller: t.callers[r]}}, many > 1 && alone > 1
	case "replica":
		return []Part{{Replica: t.replicas[r]}}, replicas > 1
	case "instance x route":
		return []Part{{Instance: t.instances[i], Route: t.routes[q]}}, instances > 1 && routes > 1
	case "caller x route":
		return []Part{{Caller: t.callers[r], Route: t.routes[q]}}, many > 1 && alone > 1 && routes > 1
	case "replica x instance":
		return []Part{{Replica: t.replicas[r], Instance: t.instances[i]}}, replicas > 1 && instances > 1
	case "instance set":
		if instances < 4 {
			return nil, false
		}
		return []Part{{Instances: some(t.instances, 2, rng)}}, true
	case "network path": // some racks can't reach some others
		if instances < 4 || replicas < 4 {
			return nil, false
		}
		return []Part{{Replicas: some(t.replicas, 2, rng), Instances: some(t.instances, 1, rng)}}, true
	case "slow calls":
		kinds := []string{"whole", "instance", "route", "replica", "instance x route", "instance set"}
		return t.truth(kinds[rng.IntN(len(kinds))], rng)
	case "two faults":
		kinds := []string{"instance", "route", "replica", "instance x route"}
		a, okA := t.truth(kinds[rng.IntN(len(kinds))], rng)
		b, okB := t.truth(kinds[rng.IntN(len(kinds))], rng)
		return append(a, b...), okA && okB && !slices.EqualFunc(a, b, func(x, y Part) bool {
			return x.Replica == y.Replica && x.Instance == y.Instance && x.Route == y.Route
		})
	}
	return nil, true
}

// some picks at least least of the names, and at most half of them.
func some(names []string, least int, rng *rand.Rand) []string {
	var set []string
	for _, x := range rng.Perm(len(names))[:least+rng.IntN(len(names)/2-least+1)] {
		set = append(set, names[x])
	}
	slices.Sort(set)
	return set
}

func draw(kind string, seed uint64, rng *rand.Rand) (Case, bool) {
	t := build(rng)
	if kind == "noisy route" || kind == "instance, noisy route" || kind == "new route" {
		for range 1 + rng.IntN(2) {
			t.base[pick(rng, t.byRoute)] = 0.05 + 0.35*rng.Float64()
		}
	}
	c := Case{Seed: seed, Kind: kind, History: t.history(rng), Slow: kind == "slow calls"}
	if kind == "new route" {
		for i, r := range t.routes {
			if t.base[i] > 0.05 {
				delete(c.History, r)
			}
		}
	}
	var ok bool
	if c.Truth, ok = t.truth(kind, rng); !ok {
		return c, false
	}
	if len(c.Truth) > 0 {
		c.Strength, c.Age = 0.12+0.88*rng.Float64(), 1+rng.IntN(Seconds)
	}
	raise := 1.0
	if kind == "raised" {
		raise = 1 + rng.Float64()
	}
	liar := -1
	if kind == "liar" {
		if len(t.replicas) < 3 {
			return c, false
		}
		liar = rng.IntN(len(t.replicas))
		c.Liars = t.replicas[liar : liar+1]
	}
	lie := between(rng, 10, 1000)
	victim := ""
	if kind == "colluding liars" {
		if len(t.replicas) < 6 || len(t.instances) < 2 {
			return c, false
		}
		for _, r := range rng.Perm(len(t.replicas))[:2+rng.IntN(len(t.replicas)/3-1)] {
			c.Liars = append(c.Liars, t.replicas[r])
		}
		victim = t.instances[rng.IntN(len(t.instances))]
	}
	inside := make([]float64, len(c.Truth))
	type place struct{ second, r, i, q int }
	at := make(map[place]int)
	for second := range Seconds {
		for range poisson(rng, t.volume/Seconds) {
			p := place{second, pick(rng, t.byReplica), pick(rng, t.byInst), pick(rng, t.byRoute)}
			x, known := at[p]
			if !known {
				x = len(c.Cells)
				at[p] = x
				c.Cells = append(c.Cells, Cell{
					Second: second, Replica: t.replicas[p.r], Caller: t.callers[p.r], Instance: t.instances[p.i], Route: t.routes[p.q],
				})
			}
			cell := &c.Cells[x]
			bad := min(1, t.base[p.q]*raise)
			for j := range c.Truth {
				if second >= Seconds-c.Age && c.Truth[j].Holds(cell) {
					bad = 1 - (1-bad)*(1-c.Strength)
					inside[j]++
				}
			}
			failed := rng.Float64() < bad
			cell.Calls++
			if !failed {
				continue
			}
			cell.Failed++
			if kind == "retries unmarked" { // the same call fails again, and counts again
				for n := rng.IntN(4); n > 0; n-- {
					cell.Calls++
					if rng.Float64() < 0.8 {
						cell.Failed++
					}
				}
			}
		}
	}
	for i := range c.Cells {
		x := &c.Cells[i]
		if slices.Contains(c.Liars, x.Replica) && (liar >= 0 || x.Instance == victim) {
			x.Calls = int(float64(x.Calls) * lie)
			x.Failed = x.Calls
		}
		if c.Slow {
			x.Slow, x.Failed = x.Failed, 0
		}
	}
	for j := range inside {
		if inside[j] < MinimumCalls || inside[j]*c.Strength < MinimumCalls/3 {
			return c, false
		}
	}
	return c, true
}
