package control

import (
	"math"
	"time"
)

// Of a replica's calls to other callees.
const (
	elsewhereFloor = 0.03
	elsewhereCap   = 0.95
	mostWell       = -1 // nats that calls that are well elsewhere speak against a sick caller
	mostSick       = 4
	surelySick     = 2
)

// elsewhereCell is what a replica saw of another callee.
type elsewhereCell struct {
	replica, callee string
	count
}

// elsewhere gathers what the replicas that call a callee see of others.
func (m *Mind) elsewhere(ce *callee) (cells []elsewhereCell) {
	for _, c := range ce.circuits {
		for _, r := range c.rows {
			b := m.members[r.id]
			if b == nil {
				continue
			}
			for _, other := range b.ends {
				if other.circuit.callee == ce {
					continue
				}
				var sum count
				for _, x := range other.row.cells {
					t := x.window.sum(m.now, int(cellSpan/time.Second))
					sum.add(count{float64(t.n), float64(t.k)})
				}
				if sum.n > 0 {
					cells = append(cells, elsewhereCell{r.by(), other.circuit.id.Callee.String(), sum})
				}
			}
		}
	}
	return cells
}

// sickness is what a replica's or caller's calls to other callees say of it: in
// nats that it is sick itself.
type sickness struct {
	score float64
	count
}

// lookElsewhere weighs what replicas, and all replicas of a caller, see of other
// callees, against what the others see of them: a callee that fails for all says
// nothing of who calls it.
func (s *scanner) lookElsewhere() {
	s.elsewhere[byReplica] = make([]sickness, len(s.labels[byReplica]))
	s.elsewhere[byCaller] = make([]sickness, len(s.labels[byCaller]))
	callerOf := make(map[string]labelIDs)
	for i := range s.ids {
		callerOf[s.ev.cells[i].replica] = s.ids[i]
	}
	all := make(map[string]count)
	for i := range s.ev.elsewhere {
		x := &s.ev.elsewhere[i]
		c := all[x.callee]
		c.add(x.count)
		all[x.callee] = c
	}
	for _, kind := range [...]int{byReplica, byCaller} {
		own := make(map[string][]count)
		var order []string
		for i := range s.ev.elsewhere {
			x := &s.ev.elsewhere[i]
			ids, known := callerOf[x.replica]
			if !known {
				continue
			}
			if own[x.callee] == nil {
				own[x.callee] = make([]count, len(s.labels[kind]))
				order = append(order, x.callee)
			}
			own[x.callee][ids[kind]].add(x.count)
		}
		for id := range s.elsewhere[kind] {
			var sum slot
			sick := &s.elsewhere[kind][id]
			for _, callee := range order {
				c := own[callee][id]
				others := all[callee]
				p := max(elsewhereFloor, min(elsewhereCap, tolerance*(others.k-c.k+1)/(others.n-c.n+10)))
				var gain [len(strengths)]float64
				for j, f := range strengths {
					gain[j] = math.Log1p(f * (1 - p) / p)
				}
				sum.add(&c, &gain)
				sick.add(c)
			}
			sick.score = max(mostWell, min(mostSick, sum.likelihood()))
		}
	}
}
