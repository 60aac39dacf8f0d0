package control

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/datapunk/switchgear/breaker"
	"github.com/datapunk/switchgear/internal/fleet"
	"github.com/datapunk/switchgear/policy"
)

// strain is what holds a circuit's calls up, whoever is at fault: evidence that
// grading needs and verdicts do not, in steps of 100 ms of event time.
type strain struct {
	head  int64
	slots [strainSteps]strained
}

const strainSteps = int64(troubleSpan / fleet.BucketWidth)

type strained struct {
	offered, up uint32 // up: failed, rejected, inherited, given up by callers
	inherited   uint32
}

func (s *strain) at(at time.Duration) *strained {
	i := int64(at / fleet.BucketWidth)
	if i-s.head >= strainSteps {
		s.slots, s.head = [strainSteps]strained{}, i
	}
	for s.head < i {
		s.head++
		s.slots[s.head%strainSteps] = strained{}
	}
	if i <= s.head-strainSteps || i < 0 {
		return nil
	}
	return &s.slots[i%strainSteps]
}

// sum of the newest seconds.
func (s *strain) sum(now time.Duration) (all strained) {
	i := int64(now / fleet.BucketWidth)
	for j := max(i, s.head) - strainSteps + 1; j <= s.head; j++ {
		if j < 0 || j <= i-strainSteps {
			continue
		}
		x := &s.slots[j%strainSteps]
		all.offered += x.offered
		all.up += x.up
		all.inherited += x.inherited
	}
	return all
}

func (s *strain) tally(now time.Duration) tally {
	all := s.sum(now)
	return tally{all.offered, all.up}
}

// note adds a report to what holds a circuit's calls up.
func (c *circuit) note(now time.Duration, cr *fleet.CircuitReport) {
	for i := range cr.Cells {
		for j := range cr.Cells[i].Buckets {
			b := &cr.Cells[i].Buckets[j]
			if b.Age > oldEvidence || b.Age < 0 {
				continue
			}
			x := c.strain.at(now - b.Age)
			if x == nil {
				continue
			}
			x.offered += b.Offered
			x.up += min(b.Failed+b.Rejected+b.Inherited+b.Kinds[breaker.Canceled]+b.Kinds[breaker.CallerDeadline], b.Offered)
			x.inherited += b.Inherited
		}
	}
}

// behind is a circuit of the callee's own, as grading sees it.
type behind struct {
	id       policy.Circuit
	open     bool
	troubled tally
}

// suspicious reports whether a circuit holds its callers up: it is open, or a
// good part of its calls does not come back well.
func (b *behind) suspicious(above float64) bool {
	const few = 3
	return b.troubled.k >= few && (b.open || 2*100*float64(b.troubled.k) >= above*float64(b.troubled.n))
}

// grades says which circuits behind a circuit's callee explain its failures, for
// at most gradingDelay. No mark comes with a reply that does not come: where a
// callee hangs because of what it calls, only the edge nearest the fault is to
// open, and that one needs a moment to be found.
func (m *Mind) grades(c *circuit) string {
	if m.cfg.Without.Grading {
		return ""
	}
	if m.now-c.gradedAt > max(c.settings.Breaker.WindowDuration, 2*c.settings.GradingDelay) {
		c.graded, c.explained = 0, false
	}
	var worst behind
	for _, b := range m.behind(c.id.Callee) {
		if b.suspicious(openAbove(&c.settings)) && b.troubled.k > worst.troubled.k {
			worst = b
		}
	}
	own := c.strain.tally(m.now)
	if worst.troubled.k == 0 || 2*worst.troubled.k < own.k {
		return m.awaits(c)
	}
	if c.graded == 0 {
		c.graded = m.now
	}
	found := m.isFound(&worst, openAbove(&c.settings))
	if all := c.strain.sum(m.now); found && 2*all.inherited >= all.up {
		// What still fails here are the probes down there, which nobody answers in time.
		c.absolve()
		c.gradedAt, c.graded = m.now, m.now
		return fmt.Sprintf("graded: %s is open and explains it: %d of %d calls that were held up here say so", worst.id, all.inherited, all.up)
	}
	if found && !c.explained {
		// It has just been opened: what is under way needs a time-out to come to its end.
		c.explained, c.graded = true, m.now
	}
	c.gradedAt = m.now
	if found && m.now-c.graded < c.settings.GradingDelay {
		c.absolve()
	}
	if m.now-c.graded >= c.settings.GradingDelay {
		c.waited = fmt.Sprintf("; it waited %s for %s, which is in trouble too, and went on failing", short(m.now-c.graded), worst.id)
		m.said.Findings = append(m.said.Findings, Notice{Kind: "grading", Namespace: c.id.Callee.Namespace, Circuit: c.id, Why: "opens" + c.waited[1:]})
		return ""
	}
	return fmt.Sprintf("graded: %s explains it (%d of %d calls of its callee there are held up, %d here); it opens if that lasts %s",
		worst.id, worst.troubled.k, worst.troubled.n, own.k, short(c.settings.GradingDelay))
}

// awaits holds a circuit whose calls time out until those behind its callee have
// had a time-out of their own to show whether they are why.
func (m *Mind) awaits(c *circuit) string {
	f := c.whole.flow.failing(m.now)
	if c.suspected == 0 || 2*f.kinds[breaker.Timeout] < f.spoilt {
		return ""
	}
	for _, b := range m.callers[c.id.Callee] {
		wait := min(cmp.Or(b.callTimeout(), c.settings.GradingDelay/2)+hearOthers, c.settings.GradingDelay)
		if left := c.suspected + wait - m.now; left > 0 && b.demand.sum(m.now, demandSteps).n > 0 {
			return fmt.Sprintf("graded: its calls time out, and so may those of its callee to %s: that shows within %s", b.id, short(left))
		}
	}
	return ""
}

// isFound reports whether a circuit, or one further down that explains it, is
// open: then the fault is found, and what is nearer to the front only felt it.
func (m *Mind) isFound(b *behind, above float64) bool {
	if b.open {
		return true
	}
	way := []policy.Service{b.id.Callee}
	for i := 0; i < len(way); i++ {
		for _, next := range m.behind(way[i]) {
			if !next.suspicious(above) {
				continue
			}
			if next.open {
				return true
			}
			if len(way) < chainLength && !slices.Contains(way, next.id.Callee) {
				way = append(way, next.id.Callee)
			}
		}
	}
	return false
}

// absolve drops evidence that is explained by what is open by now: it would
// outlive it, since inherited outcomes neither confirm nor refute it.
func (c *circuit) absolve() {
	c.restart()
	c.whole.flow.forget()
}

// behind lists the circuits whose caller is a service: its own evidence of those
// that it calls, from here and from other owners.
func (m *Mind) behind(s policy.Service) []behind {
	var all []behind
	for _, c := range m.callers[s] {
		if c.callee.owned || c.callee.second {
			all = append(all, behind{c.id, c.occupies(), c.strain.tally(m.now)})
		}
	}
	return m.peers.behind(s, all)
}

// addCaller and dropCaller keep the index of circuits by their caller.
func (m *Mind) addCaller(c *circuit) {
	m.callers[c.id.Caller] = append(m.callers[c.id.Caller], c)
}

func (m *Mind) dropCaller(c *circuit) {
	s := c.id.Caller
	m.callers[s] = slices.DeleteFunc(m.callers[s], func(x *circuit) bool { return x == c })
	if len(m.callers[s]) == 0 {
		delete(m.callers, s)
	}
}
