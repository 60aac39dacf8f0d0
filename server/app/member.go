package app

import (
	"fmt"

	"github.com/datapunk/switchgear/internal/control"
	"github.com/datapunk/switchgear/internal/fleet"
	"github.com/datapunk/switchgear/link/wire"
	busv1 "github.com/datapunk/switchgear/server/gen/switchgear/bus/v1"
)

// toMember gives the wire form of what a daemon tells the others.
func toMember(m *control.Member) *busv1.Member {
	p := &busv1.Member{
		Daemon: m.Daemon, Joining: m.Joining, Leaving: m.Leaving,
		Epoch: wire.ToEpoch(m.Epoch),
	}
	for _, n := range m.Namespaces {
		p.Namespaces = append(p.Namespaces, &busv1.NamespaceSummary{Namespace: n.Namespace, Circuits: uint32(n.Circuits)})
	}
	for _, c := range m.Circuits {
		p.Circuits = append(p.Circuits, &busv1.CircuitSummary{
			Circuit: wire.ToCircuit(c.Circuit), Open: c.Open, Wants: c.Wants, Calls: c.Calls, Troubled: c.Troubled, MaxOpenPercent: c.MaxOpenPercent,
		})
	}
	for _, g := range m.Grants {
		p.Grants = append(p.Grants, &busv1.Grant{Circuit: wire.ToCircuit(g.Circuit), Why: g.Why})
	}
	return p
}

// fromMember reads it. Control bounds what it believes.
func fromMember(p *busv1.Member) (control.Member, error) {
	m := control.Member{
		Daemon: p.GetDaemon(), Joining: p.GetJoining(), Leaving: p.GetLeaving(),
		Epoch: fleet.Epoch{Incarnation: p.GetEpoch().GetIncarnation(), Counter: p.GetEpoch().GetCounter(), Daemon: p.GetEpoch().GetDaemon()},
	}
	for _, n := range p.GetNamespaces() {
		m.Namespaces = append(m.Namespaces, control.NamespaceSummary{Namespace: n.GetNamespace(), Circuits: int(n.GetCircuits())})
	}
	for _, c := range p.GetCircuits() {
		id, err := wire.FromCircuit(c.GetCircuit())
		if err != nil {
			return control.Member{}, fmt.Errorf("summary of daemon %q: %w", m.Daemon, err)
		}
		percent := c.GetMaxOpenPercent()
		if !(percent >= 0 && percent <= 100) {
			return control.Member{}, fmt.Errorf("summary of daemon %q: maxOpenPercent %v: want 0 to 100", m.Daemon, percent)
		}
		m.Circuits = append(m.Circuits, control.CircuitSummary{
			Circuit: id, Open: c.GetOpen(), Wants: c.GetWants(), Calls: c.GetCalls(), Troubled: c.GetTroubled(), MaxOpenPercent: percent,
		})
	}
	for _, g := range p.GetGrants() {
		id, err := wire.FromCircuit(g.GetCircuit())
		if err != nil {
			return control.Member{}, fmt.Errorf("grant of daemon %q: %w", m.Daemon, err)
		}
		m.Grants = append(m.Grants, control.Grant{Circuit: id, Why: g.GetWhy()})
	}
	return m, nil
}

// member takes what another daemon tells.
func (o *owner) member(p *busv1.Member) {
	if p.GetDaemon() == o.daemon {
		return
	}
	m, err := fromMember(p)
	if err != nil {
		o.log.Warn("word of another daemon was ignored", "error", err)
		return
	}
	o.take(control.Input{Member: &m})
}

// told takes what another daemon has said to replicas.
func (o *owner) told(orders *busv1.Orders) {
	if !o.peers || orders.GetDaemon() == "" || orders.GetDaemon() == o.daemon {
		return
	}
	for _, x := range orders.GetOrders() {
		to, err := wire.FromAddressee(x.GetTo())
		if err != nil {
			continue // the gateway says so
		}
		d, err := wire.FromDirective(x.GetDirective())
		if err != nil {
			continue
		}
		o.take(control.Input{Told: &control.Told{Daemon: orders.GetDaemon(), Output: control.Output{To: to, Directive: d}}})
	}
}
