package control

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/datapunk/switchgear/breaker"
	"github.com/datapunk/switchgear/internal/fleet"
	"github.com/datapunk/switchgear/policy"
)

// Order is an operator's word. Whoever takes it from a person has validated it,
// and knows that the person may give it.
type Order struct {
	ID     string
	Action Action
	// Circuit is whose override it is, Instance which part of it; empty is all of it.
	Circuit  policy.Circuit `json:",omitzero"`
	Instance string
	// Namespace is which automation pauses or resumes; empty is all.
	Namespace string
	// Mode of an override: metrics_only, off or forced_open.
	Mode           breaker.Mode
	Author, Reason string
	TTL            time.Duration
}

// Action is what an order asks for.
type Action string

const (
	Rule    Action = "override"
	Release Action = "release"
	Pause   Action = "pause"
	Resume  Action = "resume"
)

// Bounds of orders.
const (
	maxOrderTTL  = 30 * 24 * time.Hour
	maxOrderText = 1024
	maxPauses    = 1000
)

// Validate reports all that is wrong with an order, at once.
func (o *Order) Validate() error {
	var errs []error
	wrong := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	begins := o.Action == Rule || o.Action == Pause
	switch o.Action {
	case Rule, Release:
		if err := o.Circuit.Validate(); err != nil {
			errs = append(errs, err)
		}
		if o.Instance != "" && policy.ValidName(o.Instance) != nil {
			wrong("instance: %w", policy.ValidName(o.Instance))
		}
	case Pause, Resume:
		if o.Namespace != "" && policy.ValidName(o.Namespace) != nil {
			wrong("namespace: %w", policy.ValidName(o.Namespace))
		}
	default:
		wrong("action %q: want override, release, pause or resume", o.Action)
	}
	if o.Action == Rule && (o.Mode == breaker.Enforce || o.Mode > breaker.ForcedOpen) {
		wrong("mode %v: want metrics_only, off or forced_open", o.Mode)
	}
	if policy.ValidName(o.ID) != nil {
		wrong("id: %w", policy.ValidName(o.ID))
	}
	for _, f := range []struct{ field, value string }{{"author", o.Author}, {"reason", o.Reason}} {
		if strings.TrimSpace(f.value) == "" {
			wrong("%s is missing: an order says who gave it, and why", f.field)
		}
		if len(f.value) > maxOrderText {
			wrong("%s of %d bytes: want at most %d", f.field, len(f.value), maxOrderText)
		}
	}
	if begins && (o.TTL < time.Second || o.TTL > maxOrderTTL) {
		wrong("time to live %v: want 1s to %v: every order ends", o.TTL, maxOrderTTL)
	}
	return errors.Join(errs...)
}

// override is an order that stands on a target until it ends.
type override struct {
	fleet.Override
	until time.Duration
}

// left is the override as it is now, nil if there is none.
func (o *override) left(now time.Duration) *fleet.Override {
	if o == nil {
		return nil
	}
	word := o.Override
	word.TTL = max(o.until-now, 0)
	return &word
}

// frozen reports whether the calculated state stands still: nothing is learnt
// where every call is rejected, or where nobody judges.
func (t *target) frozen() bool {
	return t.override != nil && t.override.Mode != breaker.MetricsOnly
}

// pause is an order that holds automation.
type pause struct {
	namespace string
	Order
	until time.Duration
}

func (p *pause) said(now time.Duration) string {
	return fmt.Sprintf("automation is paused by %s for another %s: %s", p.Author, short(p.until-now), p.Reason)
}

// command carries out what an operator says; what it can't it refuses aloud.
func (m *Mind) command(o *Order) {
	if err := o.Validate(); err != nil {
		m.refuse(o, strings.ReplaceAll(err.Error(), "\n", "; "))
		return
	}
	switch o.Action {
	case Rule:
		c := m.circuit(o.Circuit)
		if c == nil {
			m.refuse(o, fmt.Sprintf("%d circuits are followed, and no more can be", maxCircuits))
			return
		}
		t := c.whole
		if o.Instance != "" {
			if c.partOf(o.Instance) == nil && len(c.parts) >= maxInstances {
				m.refuse(o, fmt.Sprintf("%d instances have a verdict of their own, and no more can have", maxInstances))
				return
			}
			t = c.part(m.now, o.Instance).target
		}
		m.lift(c, t, o.Mode == breaker.ForcedOpen)
		word := fleet.Override{ID: o.ID, Mode: o.Mode, Author: o.Author, Reason: o.Reason, TTL: o.TTL}
		t.override = &override{word, m.now + o.TTL}
		m.endOrders(c)
		c.dirty = true
	case Release:
		if c := m.known(o.Circuit); c != nil {
			t := c.whole
			if o.Instance != "" {
				p := c.partOf(o.Instance)
				if p == nil {
					return
				}
				t = p.target
			}
			m.lift(c, t, false)
		}
	case Pause:
		at, found := m.findPause(o.Namespace)
		switch p := (pause{o.Namespace, *o, m.now + o.TTL}); {
		case found:
			m.pauses[at] = p
		case len(m.pauses) >= maxPauses:
			m.refuse(o, fmt.Sprintf("%d namespaces are paused: pause all instead", maxPauses))
		default:
			m.pauses = slices.Insert(m.pauses, at, p)
		}
	case Resume:
		if at, found := m.findPause(o.Namespace); found {
			m.pauses = slices.Delete(m.pauses, at, at+1)
		}
	}
}

func (m *Mind) refuse(o *Order, why string) {
	m.said.Findings = append(m.said.Findings, Notice{
		Kind: "order", Namespace: cmp.Or(o.Namespace, o.Circuit.Callee.Namespace), Circuit: o.Circuit,
		Why: fmt.Sprintf("order %q by %q was refused: %s", cut(o.ID), cut(o.Author), why),
	})
}

// cut keeps what a stranger wrote short.
func cut(s string) string { return s[:min(len(s), 64)] }

func (m *Mind) findPause(namespace string) (at int, found bool) {
	return slices.BinarySearchFunc(m.pauses, namespace, func(p pause, n string) int { return cmp.Compare(p.namespace, n) })
}

// paused says who has stopped automation in a namespace, nil if nobody has.
func (m *Mind) paused(namespace string) *pause {
	for _, n := range []string{"", namespace} {
		if at, found := m.findPause(n); found {
			return &m.pauses[at]
		}
	}
	return nil
}

// lift ends a target's override. What was forced open is as unknown as it was
// long: only probes can tell, so it is half open and never closed at once. Where
// another forcing follows, it stays as it is.
func (m *Mind) lift(c *circuit, t *target, again bool) {
	was := t.override
	if was == nil {
		return
	}
	t.override = nil
	c.dirty = true
	if was.Mode != breaker.ForcedOpen || again {
		return
	}
	if t.calmly() {
		t.outage, t.trials = m.now, 0
	}
	t.probe(m.now, &c.settings)
	t.gate.Reason = fmt.Sprintf("forced open by %s (%s) until now: %s", was.Author, was.Reason, t.gate.Reason)
}

// endOrders ends what has had its time on a circuit.
func (m *Mind) endOrders(c *circuit) {
	c.orderEnds = 0
	for _, t := range c.targets() {
		if t.override == nil {
			continue
		}
		if t.override.until <= m.now {
			m.lift(c, t, false)
			continue
		}
		if c.orderEnds == 0 || t.override.until < c.orderEnds {
			c.orderEnds = t.override.until
		}
	}
}

func (m *Mind) endPauses() {
	m.pauses = slices.DeleteFunc(m.pauses, func(p pause) bool { return p.until <= m.now })
}

// orders are the overrides that stand on a circuit, with what is left of them.
func (c *circuit) orders(now time.Duration) (all []Order) {
	add := func(t *target, instance string) {
		if o := t.override.left(now); o != nil {
			all = append(all, Order{
				ID: o.ID, Action: Rule, Circuit: c.id, Instance: instance, Mode: o.Mode, Author: o.Author, Reason: o.Reason, TTL: o.TTL,
			})
		}
	}
	add(c.whole, "")
	for _, p := range c.parts {
		add(p.target, p.instance)
	}
	return all
}
