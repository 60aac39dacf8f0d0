package app

import (
	"sync"
	"time"

	"github.com/datapunk/switchgear/internal/fleet"
	"github.com/datapunk/switchgear/policy"
)

// outbox holds what a replica has yet to be told: the latest directive of each
// circuit. However slow the replica, putting never waits and memory is bounded by
// the circuits that it has.
type outbox struct {
	ready chan struct{} // holds a value while there is something to take

	mu    sync.Mutex
	wait  map[policy.Circuit]*letter
	order []policy.Circuit // of wait, by the time of the first directive not taken
}

// letter is a directive with the instant from which its durations count.
type letter struct {
	fleet.Directive
	at    time.Time
	first time.Time // when the first directive that it stands for arrived
}

// maxPendingLeases bounds the leases that wait for one circuit.
const maxPendingLeases = 256

func newOutbox() *outbox {
	return &outbox{ready: make(chan struct{}, 1), wait: make(map[policy.Circuit]*letter)}
}

// put replaces an older directive of the same circuit, but for its leases: each
// stands for a probe that control counts on.
func (o *outbox) put(now time.Time, d fleet.Directive) {
	o.mu.Lock()
	defer o.mu.Unlock()
	l := &letter{Directive: d, at: now, first: now}
	if old := o.wait[d.Circuit]; old == nil {
		o.order = append(o.order, d.Circuit)
	} else {
		if d.Epoch.Less(old.Epoch) {
			return
		}
		l.first = old.first
		l.Leases = append(old.After(now.Sub(old.at)).Leases, d.Leases...)
		if n := len(l.Leases); n > maxPendingLeases {
			l.Leases = l.Leases[n-maxPendingLeases:]
		}
	}
	o.wait[d.Circuit] = l
	select {
	case o.ready <- struct{}{}:
	default:
	}
}

// restore puts back what was taken at an instant and did not arrive. Of a circuit
// with a newer word only the leases are added to that.
func (o *outbox) restore(now, taken time.Time, ds []fleet.Directive) {
	o.mu.Lock()
	newer := make(map[policy.Circuit]bool)
	for i := range ds {
		l := o.wait[ds[i].Circuit]
		if l == nil || len(ds[i].Leases) == 0 || l.Epoch.Less(ds[i].Epoch) {
			continue
		}
		newer[ds[i].Circuit] = true
		l.Directive, l.at = l.After(now.Sub(l.at)), now
		l.Leases = append(ds[i].After(now.Sub(taken)).Leases, l.Leases...)
		if n := len(l.Leases); n > maxPendingLeases {
			l.Leases = l.Leases[n-maxPendingLeases:]
		}
	}
	o.mu.Unlock()
	for i := range ds {
		if !newer[ds[i].Circuit] {
			o.put(taken, ds[i])
		}
	}
}

func (o *outbox) empty() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.order) == 0
}

// take gives at most n directives, oldest first, less the time that they waited,
// and the time that each has been on its way here.
func (o *outbox) take(now time.Time, n int) (ds []fleet.Directive, waited []time.Duration) {
	o.mu.Lock()
	defer o.mu.Unlock()
	n = min(n, len(o.order))
	for _, c := range o.order[:n] {
		l := o.wait[c]
		delete(o.wait, c)
		held := now.Sub(l.at)
		d := l.After(held)
		if d.TTL <= 0 {
			continue
		}
		ds = append(ds, d)
		waited = append(waited, now.Sub(l.first))
	}
	o.order = append(o.order[:0], o.order[n:]...)
	if len(o.order) > 0 {
		select {
		case o.ready <- struct{}{}:
		default:
		}
	}
	return ds, waited
}
