package control

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/datapunk/switchgear/breaker"
	"github.com/datapunk/switchgear/policy"
)

// Check asks the shell for one request to an instance: a TCP connection, or with
// a path an HTTP GET whose status must be under 400.
type Check struct {
	Circuit  policy.Circuit
	Instance string         // as replicas reported it
	Address  netip.AddrPort // where to ask
	Path     string
	Deadline time.Duration // how long it may take
}

// Checked is what came of a Check.
type Checked struct {
	Circuit  policy.Circuit
	Instance string
	OK       bool
	Why      string // why not
}

// checks are a circuit's active checks.
type checks struct {
	next    time.Duration
	turn    int
	out     string        // the instance that is being asked
	outTill time.Duration // until when its answer counts
}

// prefixes reads networks; what is none is none. The shell has said so already.
func prefixes(cidrs []string) (ps []netip.Prefix) {
	for _, s := range cidrs {
		if p, err := netip.ParsePrefix(s); err == nil {
			ps = append(ps, p.Masked())
		}
	}
	return ps
}

// check asks an instance of an open circuit whose callers have too few calls to
// probe with: else a callee that nobody dares to call stays open for long. Only
// addresses that replicas have reported are asked, and only within the daemon's
// own list of networks: a replica's word must not make the daemon knock at doors
// that the replica can't reach.
func (m *Mind) check(c *circuit) {
	s := c.settings.ActiveCheck
	if s.Interval == 0 || len(m.checkable) == 0 || c.whole.gate.State == breaker.Closed || c.whole.frozen() ||
		m.now < c.checks.next || m.now < c.whole.due || c.whole.leased(m.now) || len(c.askers(m.now)) > 0 || m.paused(c.id.Callee.Namespace) != nil {
		return
	}
	c.checks.next = m.now + s.Interval
	names := slices.Sorted(maps.Keys(c.seen))
	for range names {
		c.checks.turn++
		name := names[c.checks.turn%len(names)]
		address, ok := m.mayCheck(name, s.Port)
		if !ok {
			continue
		}
		c.checks.out, c.checks.outTill = name, m.now+2*checkDeadline
		m.said.Checks = append(m.said.Checks, Check{Circuit: c.id, Instance: name, Address: address, Path: s.Path, Deadline: checkDeadline})
		return
	}
}

// leased reports whether a probe is out.
func (t *target) leased(now time.Duration) bool {
	return slices.ContainsFunc(t.trial.leases, func(l lease) bool { return l.expires > now })
}

// mayCheck gives the address of an instance, where it may be asked. Names are not
// resolved: what a name leads to is not what was allowed.
func (m *Mind) mayCheck(instance string, port int) (netip.AddrPort, bool) {
	address, err := netip.ParseAddrPort(instance)
	if err != nil {
		ip, err := netip.ParseAddr(instance)
		if err != nil || port == 0 {
			return netip.AddrPort{}, false
		}
		address = netip.AddrPortFrom(ip, uint16(port))
	}
	if port != 0 {
		address = netip.AddrPortFrom(address.Addr(), uint16(port))
	}
	ip := address.Addr().Unmap().WithZone("")
	if address.Port() == 0 || ip.IsUnspecified() || ip.IsMulticast() || ip.IsLinkLocalUnicast() || address.Addr().Zone() != "" {
		return netip.AddrPort{}, false // link-local is where clouds keep their metadata
	}
	for _, p := range m.checkable {
		if p.Contains(ip) {
			return netip.AddrPortFrom(ip, address.Port()), true
		}
	}
	return netip.AddrPort{}, false
}

// checked takes what came of a check. A good answer is not a good call: the way
// back begins with few calls, and any that fail end it.
func (m *Mind) checked(r *Checked) {
	c := m.known(r.Circuit)
	if c == nil || c.checks.out == "" || c.checks.out != r.Instance || m.now > c.checks.outTill {
		return
	}
	c.checks.out = ""
	if c.whole.gate.State == breaker.Closed || c.whole.frozen() {
		return
	}
	c.dirty = true
	if !r.OK {
		c.whole.gate.Reason = fmt.Sprintf("still failing: %s did not answer an active check (%s)", r.Instance, cut(cmp.Or(r.Why, "no reason given")))
		return
	}
	c.whole.startRamp(m.now, fmt.Sprintf("nobody called to probe with, and instance %s has answered an active check", r.Instance))
}
