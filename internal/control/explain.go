package control

import (
	"fmt"
	"slices"
	"strings"

	"github.com/datapunk/switchgear/breaker"
)

// explain adds to a circuit's view what stands above its state, what holds
// automation, and what comes next.
func (m *Mind) explain(c *circuit, v *CircuitView) {
	v.Revision = c.settings.Revision
	v.Held = c.heldNow(m.now)
	if p := m.paused(c.id.Callee.Namespace); p != nil {
		v.Paused = p.said(m.now)
	}
	v.Inherited = c.strain.sum(m.now).inherited
	v.Marker = m.marker(c.id.Callee)
	v.Override = c.whole.override.left(m.now)
	switch {
	case v.Override != nil:
		v.Mode = v.Override.Mode
	case !m.enforces(c):
		v.Mode = breaker.MetricsOnly
	}
	v.Why = timeless(v.Why)
	if name := c.settings.Strategy; name != "" && c.settings.Breaker.FailureRateThreshold == 0 && v.State == breaker.Closed {
		v.Why = strings.TrimPrefix(v.Why+"; ", "; ") + fmt.Sprintf("its replicas open by their own strategy %q, which control neither runs nor pools", name)
	}
	if c.whole.gate.State == breaker.Open && !c.whole.frozen() {
		v.NextProbe = max(c.whole.due-m.now, 0)
	}
	for _, l := range c.whole.trial.leases {
		if l.expires > m.now && !slices.Contains(v.Holders, l.to.Name) {
			v.Holders = append(v.Holders, l.to.Name)
		}
	}
	slices.Sort(v.Holders)
}

// timeless leaves out of a reason when the next probes were due as it was said:
// that is old by now, and the view knows better.
func timeless(why string) string {
	before, after, found := strings.Cut(why, "; next probes in ")
	if !found {
		return why
	}
	if _, rest, more := strings.Cut(after, "; "); more {
		return before + "; " + rest
	}
	return before
}
