package partial

import (
	"fmt"
	"math/rand/v2"
	"slices"
)

// lookElsewhere draws what the replicas saw of other callees, and says whose
// fault the case is. A bad caller or replica is ill itself by half: then its
// other calls fail too; else it is its way to this callee. One other callee in
// four fails for everybody, which says nothing of who calls it.
func (c *Case) lookElsewhere(rng *rand.Rand) {
	var replicas []string
	callers := make(map[string]string)
	for i := range c.Cells {
		x := &c.Cells[i]
		if _, known := callers[x.Replica]; !known {
			replicas = append(replicas, x.Replica)
		}
		callers[x.Replica] = x.Caller
	}
	slices.Sort(replicas)
	others := rng.IntN(4)
	ill := rng.IntN(2) == 0
	c.Side = c.side(ill, others)
	for o := range others {
		callee := fmt.Sprint("callee", o)
		base := 0.02 * rng.Float64()
		if rng.IntN(4) == 0 {
			base = 0.1 + 0.7*rng.Float64()
		}
		volume := between(rng, 5, 2000)
		byReplica := shares(rng, len(replicas))
		for i, r := range replicas {
			bad := base
			if ill && c.Side == Caller && c.Truth[0].Holds(&Cell{Replica: r, Caller: callers[r]}) {
				bad = 1 - (1-base)*(1-c.Strength)
			}
			n := poisson(rng, volume*byReplica[i])
			c.Elsewhere = append(c.Elsewhere, Other{Replica: r, Callee: callee, Calls: n, Failed: binomial(rng, n, bad)})
		}
	}
}

func (c *Case) side(ill bool, others int) string {
	if len(c.Truth) != 1 || c.Slow {
		return ""
	}
	p := &c.Truth[0]
	switch {
	case c.Kind == "network path" || c.Kind == "replica x instance":
		return Path
	case (p.Replica != "" || p.Caller != "") && p.Route == "" && p.Instance == "":
		switch {
		case others == 0:
			return ""
		case ill:
			return Caller
		}
		return Path
	case p.Caller == "" && p.Replica == "":
		return Callee
	}
	return ""
}
