package control

import (
	"fmt"
	"math"
	"time"

	"github.com/datapunk/switchgear/breaker"
)

const (
	firstProbe = 200 * time.Millisecond
	// Probes that come this often are let out as a share of the calls; rarer ones
	// by turns: a few offered, and none once one has answered.
	steadyProbes  = 350 * time.Millisecond
	siblingProbes = time.Second
	offered       = 5 // calls that an offer lets through if none answers
)

// spacing is how far probes are apart: the cost of a probe against that of a late
// recovery, whose hazard falls with the outage's age (inspection intervals under
// a Lindy hazard; algorithms.md, 1).
func (t *target) spacing(now time.Duration) time.Duration {
	age := (now - t.outage).Seconds()
	tau := time.Duration(math.Sqrt((age+0.2)/t.flow.demand(now, true)) * float64(time.Second))
	if t.blind {
		return max(siblingProbes, 4*tau) // its calls go elsewhere meanwhile: a late recovery costs little
	}
	return tau
}

// search lets probes out of an open target and looks at what they came to.
func (t *target) search(now time.Duration) {
	if t.recovered() {
		t.startRamp(now, fmt.Sprintf("a probe answered well after %s", short(now-t.outage)))
		return
	}
	demand := t.flow.demand(now, true)
	t.tau = t.spacing(now)
	failed := t.flow.span(now, now-t.asked, -time.Second).spoilt > 0
	// As many are out as were offered, and none comes back.
	hangs := demand > leastDemand && (now-t.asked).Seconds()*min(offered, demand) >= offered
	if t.asked != 0 && (failed || hangs) {
		t.asked, t.due = 0, now+t.tau
		t.letOut(breaker.Open, 0)
		return
	}
	if now < t.due {
		return
	}
	// The outage only gets older: what comes by turns once goes on so.
	if t.byTurns = t.byTurns || t.tau > steadyProbes; !t.byTurns {
		t.letOut(breaker.HalfOpen, 1/(t.tau.Seconds()*demand))
		return
	}
	if t.asked == 0 {
		t.asked = now
	}
	t.letOut(breaker.HalfOpen, offered/demand)
}

// recovered reports whether probes answer so well that the outage is over. One
// good answer is enough where none came before; where some calls went well all
// along, it takes more in a row: a sequential test of health against the share of
// good answers that the outage itself has shown.
func (t *target) recovered() bool {
	const healthy = 0.98
	enough := 1.5
	if t.blind {
		enough = 4
	}
	ok, n := t.probed.ok, t.probed.n
	sum := 0.0
	for i := max(t.flow.head-flowSteps+1, 0); i <= t.flow.head; i++ {
		s := &t.flow.slots[i%flowSteps]
		if s.calls == 0 {
			continue
		}
		// Where more than half go well is no outage: what went well before a relapse
		// must not ask for more than probes can bring.
		share := min((ok+0.1)/(n+5), 0.5)
		good := float64(s.calls - s.spoilt)
		sum = max(0, sum+good*math.Log(healthy/share)+float64(s.spoilt)*math.Log((1-healthy)/(1-share)))
		ok, n = ok+good, n+float64(s.calls)
	}
	if sum < enough {
		return false
	}
	t.probed.ok, t.probed.n = ok, n
	return true
}

// letOut changes the share of probes under the same generation, where it changes
// by enough to be worth a word.
func (t *target) letOut(state breaker.State, share float64) {
	share = min(share, 1)
	if state == t.gate.State && math.Abs(share-t.gate.Share) <= 0.15*t.gate.Share {
		return
	}
	t.gate.State = state
	t.admit(share)
}
