package control

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/datapunk/switchgear/breaker"
	"github.com/datapunk/switchgear/internal/fleet"
	"github.com/datapunk/switchgear/policy"
)

// obedient replicas run on the settings that they were last told.
type obedient struct {
	*fleetOf
	runs map[string]policy.Settings
}

func newObedient(cfg Config, replicas int) *obedient {
	o := &obedient{&fleetOf{Mind: New(cfg), at: time.Second}, make(map[string]policy.Settings)}
	for i := range replicas {
		o.runs[replica(i).Name] = revised("own", 50)
	}
	o.report()
	return o
}

func revised(revision string, threshold float64) policy.Settings {
	s := policy.Default()
	s.Breaker.FailureRateThreshold, s.Breaker.AloneOnly, s.Revision = threshold, false, revision
	return s
}

// report has each replica take on what it was told, and say so.
func (o *obedient) report() {
	for i := range len(o.runs) {
		id := replica(i)
		for _, out := range o.out {
			if s := out.Directive.Settings; s != nil && (out.To.Name == "" || out.To == id) {
				o.runs[id.Name] = *s
			}
		}
	}
	o.out = nil
	for i := range len(o.runs) {
		s := o.runs[replica(i).Name]
		cr := fleet.CircuitReport{Callee: cart, Settings: &s}
		o.step(Input{Report: &ReplicaReport{From: replica(i), Report: fleet.Report{Circuits: []fleet.CircuitReport{cr}}}})
	}
}

// on counts the replicas that run on each revision.
func (o *obedient) on() string {
	var all []string
	for _, s := range o.runs {
		all = append(all, s.Revision)
	}
	slices.Sort(all)
	return strings.Join(all, " ")
}

func (o *obedient) policy(p Policy) {
	p.Circuit = edge
	o.step(Input{Policy: &p})
	o.report()
	o.report()
}

func TestAShareOfTheReplicasTriesSettingsAndIsLedBack(t *testing.T) {
	one, two := revised("one", 60), revised("two", 70)
	o := newObedient(Config{Daemon: "d"}, 4)
	o.policy(Policy{Settings: &one})
	if o.on() != "one one one one" {
		t.Fatalf("on %s", o.on())
	}
	o.policy(Policy{Settings: &one, Canary: &two, CanaryPercent: 25})
	if o.on() != "one one one two" {
		t.Errorf("on %s: want one of four on two", o.on())
	}
	// What the canary runs on is not what control judges by.
	if v, _ := o.Circuit(edge); v.Revision != "one" {
		t.Errorf("control runs on %q", v.Revision)
	}
	// Always the same one; never none, never all.
	var canary string
	for name, s := range o.runs {
		if s.Revision == "two" {
			canary = name
		}
	}
	o.policy(Policy{Settings: &one, Canary: &two, CanaryPercent: 0.1})
	if o.runs[canary].Revision != "two" || o.on() != "one one one two" {
		t.Errorf("on %s: want the same one", o.on())
	}
	o.policy(Policy{Settings: &one, Canary: &two, CanaryPercent: 100})
	if o.on() != "one two two two" {
		t.Errorf("on %s: want one left to compare with", o.on())
	}
	o.policy(Policy{Settings: &one})
	if o.on() != "one one one one" {
		t.Errorf("on %s: want all led back", o.on())
	}
	o.policy(Policy{Settings: &two})
	if v, _ := o.Circuit(edge); o.on() != "two two two two" || v.Revision != "two" {
		t.Errorf("on %s, control on %s", o.on(), v.Revision)
	}
}

func TestAnotherReplicaTriesWhereTheFirstIsGone(t *testing.T) {
	two := revised("two", 70)
	o := newObedient(Config{Daemon: "d"}, 3)
	o.policy(Policy{Canary: &two, CanaryPercent: 10})
	if o.on() != "own own two" {
		t.Fatalf("on %s", o.on())
	}
	for i := range 3 {
		if o.runs[replica(i).Name].Revision == "two" {
			gone := replica(i)
			o.step(Input{Gone: &gone})
		}
	}
	o.pass(20 * time.Millisecond)
	tries := 0
	for _, out := range o.out {
		if out.Directive.Settings != nil {
			tries++
		}
	}
	if tries != 1 {
		t.Errorf("%d directives with settings: want one, for another replica", tries)
	}
}

func TestWhatWasTriedWithoutAPolicyBeforeLeadsBackToTheReplicasOwn(t *testing.T) {
	two := revised("two", 70)
	o := newObedient(Config{Daemon: "d"}, 4)
	o.policy(Policy{Canary: &two, CanaryPercent: 50})
	if o.on() != "own own two two" {
		t.Errorf("on %s", o.on())
	}
	o.policy(Policy{})
	if o.on() != "own own own own" {
		t.Errorf("on %s", o.on())
	}
}

// Settings that are withdrawn lead each replica back to what it had itself.
func TestWithdrawnSettingsLeadBackToTheReplicasOwn(t *testing.T) {
	o := newObedient(Config{Daemon: "d"}, 3)
	other := revised("other", 80)
	o.runs[replica(2).Name] = other
	o = &obedient{&fleetOf{Mind: New(Config{Daemon: "d"}), at: time.Second}, o.runs}
	o.report()
	one := revised("one", 60)
	o.policy(Policy{Settings: &one})
	if o.on() != "one one one" {
		t.Fatalf("on %s", o.on())
	}
	if s, ok := o.Native(edge); !ok || s.Revision != "own" {
		t.Errorf("%q, %v: want what a replica had itself", s.Revision, ok)
	}
	o.policy(Policy{})
	if o.on() != "other own own" {
		t.Errorf("on %s: want each on its own", o.on())
	}
	// From then on it is their affair.
	o.runs[replica(0).Name] = revised("new", 90)
	o.report()
	o.pass(renewal + time.Second)
	for _, out := range o.out {
		if out.Directive.Settings != nil {
			t.Errorf("%s is still told settings", out.To.Name)
		}
	}
	if v, _ := o.Circuit(edge); v.Revision == "one" {
		t.Error("control still runs on what was withdrawn")
	}
}

func TestDirectivesActOnlyWhereAPolicySaysSo(t *testing.T) {
	for _, test := range []struct {
		config, policy, want bool
	}{{false, false, false}, {false, true, true}, {true, false, true}} {
		o := newObedient(Config{Daemon: "d", Enforce: test.config}, 2)
		o.step(Input{Policy: &Policy{Circuit: edge, Enforce: test.policy}})
		o.pass(renewal + time.Second)
		if len(o.out) == 0 {
			t.Fatal("nothing was said")
		}
		for _, out := range o.out[len(o.out)-1:] {
			if out.Directive.Enforce != test.want {
				t.Errorf("daemon %v, policy %v: enforce %v", test.config, test.policy, out.Directive.Enforce)
			}
		}
		v, _ := o.Circuit(edge)
		if shown := v.Mode == breaker.MetricsOnly; shown == test.want {
			t.Errorf("daemon %v, policy %v: mode %v", test.config, test.policy, v.Mode)
		}
	}
}

func TestNewCircuitsAreToldOnceToWhoKeepsPolicies(t *testing.T) {
	m := New(Config{Daemon: "d"})
	report := Input{At: time.Second, Report: &ReplicaReport{From: replica(0), Report: fleet.Report{Circuits: []fleet.CircuitReport{{Callee: cart}}}}}
	if said := m.Step(report); !slices.Equal(said.New, []policy.Circuit{edge}) {
		t.Errorf("new: %v", said.New)
	}
	if said := m.Step(report); len(said.New) != 0 {
		t.Errorf("new again: %v", said.New)
	}
	if known := m.Known(); !slices.Equal(known, []policy.Circuit{edge}) {
		t.Errorf("known: %v", known)
	}
	// A policy that says nothing makes no circuit.
	other := policy.Circuit{Caller: cart, Callee: web}
	m.Step(Input{At: 2 * time.Second, Policy: &Policy{Circuit: other}})
	if len(m.Known()) != 1 {
		t.Errorf("known: %v", m.Known())
	}
}

func TestATraceKeepsWhatPoliciesSay(t *testing.T) {
	one, two := revised("one", 60), revised("two", 70)
	o := newObedient(Config{Daemon: "d"}, 4)
	o.policy(Policy{Settings: &one, Enforce: true, Canary: &two, CanaryPercent: 25})
	h, _, err := ReadTrace(bytes.NewReader(AppendHeader(nil, Config{Daemon: "d"}, o.State()...)))
	if err != nil {
		t.Fatal(err)
	}
	m := New(h.Config)
	for _, in := range h.State {
		m.Step(in)
	}
	c, was := m.known(edge), o.known(edge)
	if !c.enforce || c.percent != 25 || c.ordered.Revision != "one" || c.canary.Revision != "two" {
		t.Errorf("%+v", c.directed)
	}
	for i, r := range c.rows {
		if r.canary != was.rows[i].canary {
			t.Errorf("%s: canary %v", r.id.Name, r.canary)
		}
	}
}

// Telling all of a large fleet's circuits what policies say is done within a
// second: it goes on while evidence waits.
func BenchmarkPolicyOfTenThousandCircuits(b *testing.B) {
	m := New(Config{Daemon: "d"})
	var circuits []policy.Circuit
	for i := range 10_000 {
		callee := policy.Service{Namespace: "t", Name: fmt.Sprint("s", i)}
		circuits = append(circuits, policy.Circuit{Caller: web, Callee: callee})
		m.Step(Input{At: time.Second, Report: &ReplicaReport{From: replica(0), Report: fleet.Report{Circuits: []fleet.CircuitReport{{Callee: callee}}}}})
	}
	at, n := time.Second, 0
	for b.Loop() {
		n++
		s := revised(fmt.Sprint(n), 60)
		for i := range circuits {
			at += time.Microsecond
			m.Step(Input{At: at, Policy: &Policy{Circuit: circuits[i], Settings: &s}})
		}
	}
}
