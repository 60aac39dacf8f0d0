package wire

import (
	"errors"
	"fmt"

	"github.com/datapunk/switchgear/breaker"
	"github.com/datapunk/switchgear/internal/fleet"
	linkv1 "github.com/datapunk/switchgear/link/gen/switchgear/link/v1"
)

// ToDirectives gives the wire form of directives.
func ToDirectives(ds []fleet.Directive) []*linkv1.Directive {
	var out []*linkv1.Directive
	for i := range ds {
		out = append(out, ToDirective(&ds[i]))
	}
	return out
}

// FromDirectives reads those directives that can be read, and says in its error
// why others can't: one bad word must not silence the rest.
func FromDirectives(ps []*linkv1.Directive) ([]fleet.Directive, error) {
	if err := atMost("directives", len(ps), maxDirectives); err != nil {
		return nil, err
	}
	var out []fleet.Directive
	var errs []error
	for _, p := range ps {
		d, err := FromDirective(p)
		if err != nil {
			if len(errs) < 3 {
				errs = append(errs, err)
			}
			continue
		}
		out = append(out, d)
	}
	return out, errors.Join(errs...)
}

// ToDirective gives the wire form of a directive.
func ToDirective(d *fleet.Directive) *linkv1.Directive {
	p := &linkv1.Directive{
		Circuit: ToCircuit(d.Circuit),
		Epoch:   ToEpoch(d.Epoch),
		Ttl:     toDuration(d.TTL), Enforce: d.Enforce, Gate: toGate(d.Gate), Hot: d.Hot, Override: toOverride(d.Override),
	}
	if d.Settings != nil {
		p.Settings = toSettings(d.Settings)
	}
	for _, part := range d.Parts {
		p.Parts = append(p.Parts, &linkv1.PartGate{Instance: part.Instance, Gate: toGate(part.Gate), Override: toOverride(part.Override)})
	}
	for _, l := range d.Leases {
		p.Leases = append(p.Leases, &linkv1.Lease{Token: l.Token, Instance: l.Instance, Ttl: toDuration(l.TTL)})
	}
	return p
}

// FromDirective reads a directive. One whose state is not known here is read as
// not enforced, so that the replica goes on deciding alone; a part whose state is
// not known is left out, so that the circuit's own gate stands for it.
func FromDirective(p *linkv1.Directive) (d fleet.Directive, err error) {
	if d.Circuit, err = FromCircuit(p.GetCircuit()); err != nil {
		return d, fmt.Errorf("directive: %w", err)
	}
	fail := func(err error) (fleet.Directive, error) {
		return fleet.Directive{}, fmt.Errorf("directive for %s: %w", d.Circuit, err)
	}
	daemon, err := optionalName("daemon", p.GetEpoch().GetDaemon())
	if err != nil {
		return fail(err)
	}
	d.Epoch = fleet.Epoch{Incarnation: p.GetEpoch().GetIncarnation(), Counter: p.GetEpoch().GetCounter(), Daemon: daemon}
	if d.TTL, err = duration("time to live", p.GetTtl(), maxTTL); err != nil {
		return fail(err)
	}
	gate, known, err := fromGate(p.GetGate())
	if err != nil {
		return fail(err)
	}
	d.Gate, d.Enforce, d.Hot = gate, p.GetEnforce() && known, p.GetHot()
	if d.Override, err = fromOverride(p.GetOverride()); err != nil {
		return fail(err)
	}
	if p.GetSettings() != nil {
		if d.Settings, err = fromSettings(p.GetSettings()); err != nil {
			return fail(fmt.Errorf("settings: %w", err))
		}
	}
	if err := atMost("parts", len(p.GetParts()), maxParts); err != nil {
		return fail(err)
	}
	for _, pp := range p.GetParts() {
		instance, err := optionalName("instance", pp.GetInstance())
		if err != nil {
			return fail(err)
		}
		gate, known, err := fromGate(pp.GetGate())
		if err != nil {
			return fail(fmt.Errorf("part %q: %w", instance, err))
		}
		override, err := fromOverride(pp.GetOverride())
		if err != nil {
			return fail(fmt.Errorf("part %q: %w", instance, err))
		}
		if known {
			d.Parts = append(d.Parts, fleet.Part{Instance: instance, Gate: gate, Override: override})
		}
	}
	if err := atMost("leases", len(p.GetLeases()), maxLeases); err != nil {
		return fail(err)
	}
	for _, l := range p.GetLeases() {
		instance, err := optionalName("lease's instance", l.GetInstance())
		if err != nil {
			return fail(err)
		}
		ttl, err := duration("lease's time to live", l.GetTtl(), maxAge)
		if err != nil {
			return fail(err)
		}
		d.Leases = append(d.Leases, fleet.Lease{Token: l.GetToken(), Instance: instance, TTL: ttl})
	}
	return d, nil
}

// ToEpoch gives the wire form of an epoch.
func ToEpoch(e fleet.Epoch) *linkv1.Epoch {
	return &linkv1.Epoch{Incarnation: e.Incarnation, Counter: e.Counter, Daemon: e.Daemon}
}

func toOverride(o *fleet.Override) *linkv1.Override {
	if o == nil {
		return nil
	}
	return &linkv1.Override{Id: o.ID, Mode: toMode(o.Mode), Author: o.Author, Reason: o.Reason, Ttl: toDuration(o.TTL)}
}

// fromOverride reads an operator's word. A mode that is not known here is read as
// metrics_only, which shuts nothing off; one without a time left is none.
func fromOverride(p *linkv1.Override) (*fleet.Override, error) {
	ttl, err := duration("override's time to live", p.GetTtl(), maxOverride)
	if err != nil || ttl == 0 {
		return nil, err
	}
	o := &fleet.Override{ID: text(p.GetId()), Mode: fromMode(p.GetMode()), Author: text(p.GetAuthor()), Reason: text(p.GetReason()), TTL: ttl}
	if o.Mode == breaker.Enforce {
		return nil, fmt.Errorf("override %q: mode enforce: want metrics_only, off or forced_open", o.ID)
	}
	return o, nil
}

func toGate(g fleet.Gate) *linkv1.Gate {
	return &linkv1.Gate{State: toState(g.State), Phase: g.Phase, Share: g.Share, Generation: g.Generation, Reason: g.Reason}
}

func fromGate(p *linkv1.Gate) (g fleet.Gate, known bool, err error) {
	if g.Share, err = share(p.GetShare()); err != nil {
		return fleet.Gate{}, false, err
	}
	g.State, known = fromState(p.GetState())
	if !known {
		g.Share = 1
	}
	g.Generation, g.Reason = p.GetGeneration(), text(p.GetReason())
	switch p.GetPhase() {
	case "ramp", "limited":
		g.Phase = p.GetPhase()
	}
	return g, known, nil
}
