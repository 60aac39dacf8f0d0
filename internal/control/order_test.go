package control

import (
	"strings"
	"testing"
	"time"

	"github.com/datapunk/switchgear/breaker"
	"github.com/datapunk/switchgear/internal/fleet"
	"github.com/datapunk/switchgear/policy"
)

func ruleOf(id policy.Circuit, mode breaker.Mode, ttl time.Duration) *Order {
	return &Order{ID: "o1", Action: Rule, Circuit: id, Mode: mode, Author: "ada", Reason: "migration", TTL: ttl}
}

func (m *mesh) last(t *testing.T) fleet.Directive {
	t.Helper()
	if len(m.said) == 0 {
		t.Fatal("nothing was said")
	}
	return m.said[len(m.said)-1].Directive
}

func TestForcedOpenStandsAboveFreezesAndEndsHalfOpen(t *testing.T) {
	m := newMesh(Config{}, nil)
	pay := edgeTo("pay")
	m.say(pay, 4, well(5))
	m.step(Input{Order: ruleOf(pay, breaker.ForcedOpen, 10*time.Second)})
	d := m.last(t)
	if o := d.Override; o == nil || o.Mode != breaker.ForcedOpen || o.Author != "ada" || o.Reason != "migration" || o.TTL != 10*time.Second {
		t.Fatalf("override %+v: want the operator's word in the directive", d.Override)
	}
	m.pass(2 * time.Second)
	v, _ := m.Circuit(pay)
	since := v.Since
	if v.Mode != breaker.ForcedOpen || v.State != breaker.Closed || v.Override == nil || v.Override.TTL.Round(time.Second) != 8*time.Second {
		t.Errorf("mode %v, state %v, override %+v: want forced open, calculated closed, 8 s left", v.Mode, v.State, v.Override)
	}
	for range 10 { // evidence that would open it moves nothing
		m.say(pay, 4, bad(10))
		m.pass(100 * time.Millisecond)
	}
	v, _ = m.Circuit(pay)
	if v.State != breaker.Closed || v.Since != since+time.Second || !strings.Contains(v.Held, "forced_open by ada") {
		t.Errorf("state %v since %v, held because %q: want it frozen with its age", v.State, v.Since, v.Held)
	}
	m.pass(7*time.Second + 20*time.Millisecond)
	v, _ = m.Circuit(pay)
	if v.State != breaker.HalfOpen || v.Override != nil || v.Mode != breaker.Enforce || m.last(t).Override != nil {
		t.Errorf("after its end: state %v, mode %v, override %v: want half open", v.State, v.Mode, v.Override)
	}
}

func TestReleaseOfAForcedOpeningIsHalfOpenToo(t *testing.T) {
	m := newMesh(Config{}, nil)
	pay := edgeTo("pay")
	m.step(Input{Order: ruleOf(pay, breaker.ForcedOpen, time.Hour)}) // before anybody has called
	m.say(pay, 2, fleet.Counts{Offered: 3, Rejected: 3})
	m.step(Input{Order: ruleOf(pay, breaker.ForcedOpen, 2*time.Hour)})
	if v, _ := m.Circuit(pay); v.State != breaker.Closed {
		t.Errorf("prolonged: %v: want the state to stand still", v.State)
	}
	m.step(Input{Order: &Order{ID: "o2", Action: Release, Circuit: pay, Author: "bob", Reason: "done"}})
	if v, _ := m.Circuit(pay); v.State != breaker.HalfOpen || v.Override != nil {
		t.Errorf("released: %v, %v: want half open", v.State, v.Override)
	}
}

func TestMetricsOnlyGoesOnCalculating(t *testing.T) {
	m := newMesh(Config{}, nil)
	pay := edgeTo("pay")
	m.say(pay, 4, well(1))
	m.step(Input{Order: ruleOf(pay, breaker.MetricsOnly, time.Hour)})
	for range 10 {
		m.say(pay, 4, bad(10))
		m.pass(100 * time.Millisecond)
	}
	if v, _ := m.Circuit(pay); v.State == breaker.Closed || v.Mode != breaker.MetricsOnly {
		t.Errorf("%v, %v: want it to show that it would open", v.State, v.Mode)
	}
}

func TestAnInstanceCanBeForced(t *testing.T) {
	m := newMesh(Config{}, nil)
	pay := edgeTo("pay")
	m.say(pay, 4, well(5), "10.0.0.1:80", "10.0.0.2:80")
	o := ruleOf(pay, breaker.ForcedOpen, 5*time.Second)
	o.Instance = "10.0.0.2:80"
	m.step(Input{Order: o})
	d := m.last(t)
	if len(d.Parts) != 1 || d.Parts[0].Instance != o.Instance || d.Parts[0].Override == nil || d.Override != nil {
		t.Errorf("parts %+v: want the override on the instance alone", d.Parts)
	}
	m.pass(6 * time.Second)
	v, _ := m.Circuit(pay)
	if len(v.Parts) != 1 || v.Parts[0].State != breaker.HalfOpen || v.Parts[0].Override != nil || v.State != breaker.Closed {
		t.Errorf("after its end: %v, parts %+v: want the instance half open", v.State, v.Parts)
	}
}

func TestAPauseHoldsAutomationAndOverridesStay(t *testing.T) {
	for _, namespace := range []string{"", "shop"} {
		m := newMesh(Config{}, nil)
		m.say(edgeTo("pay"), 4, well(1))
		m.step(Input{Order: &Order{ID: "p1", Action: Pause, Namespace: namespace, Author: "ada", Reason: "load test", TTL: 5 * time.Second}})
		if v, _ := m.Circuit(edgeTo("pay")); !strings.Contains(v.Paused, "paused by ada for another 5.0 s: load test") || v.Held != "" {
			t.Errorf("paused %q: said %q, held because %q: want it said before anything fails", namespace, v.Paused, v.Held)
		}
		m.step(Input{Order: ruleOf(edgeTo("cart"), breaker.ForcedOpen, time.Hour)})
		for range 20 {
			m.say(edgeTo("pay"), 4, bad(10))
			m.pass(100 * time.Millisecond)
		}
		v, _ := m.Circuit(edgeTo("pay"))
		if v.State != breaker.Closed || !strings.Contains(v.Held, "paused by ada") || !strings.Contains(v.Held, "load test") {
			t.Errorf("paused %q: %v, held because %q", namespace, v.State, v.Held)
		}
		if v, _ := m.Circuit(edgeTo("cart")); v.Mode != breaker.ForcedOpen {
			t.Errorf("the override is gone under a pause: %v", v.Mode)
		}
		for range 50 {
			m.say(edgeTo("pay"), 4, bad(10))
			m.pass(100 * time.Millisecond)
		}
		if v, _ := m.Circuit(edgeTo("pay")); v.State == breaker.Closed {
			t.Error("closed after the pause has ended")
		}
	}
	m := newMesh(Config{}, nil)
	m.step(Input{Order: &Order{ID: "p1", Action: Pause, Namespace: "other", Author: "ada", Reason: "x", TTL: time.Hour}})
	for range 10 {
		m.say(edgeTo("pay"), 4, bad(10))
		m.pass(100 * time.Millisecond)
	}
	if m.open() != 1 {
		t.Error("a pause of another namespace holds this one")
	}
}

func TestAnOrderThatCantBeIsRefusedAloud(t *testing.T) {
	for want, o := range map[string]*Order{
		"reason is missing": {ID: "1", Action: Rule, Circuit: edge, Mode: breaker.Off, Author: "a", TTL: time.Hour},
		"author is missing": {ID: "1", Action: Release, Circuit: edge, Reason: "r"},
		"time to live 0s":   {ID: "1", Action: Rule, Circuit: edge, Mode: breaker.Off, Author: "a", Reason: "r"},
		"every order ends":  {ID: "1", Action: Pause, Author: "a", Reason: "r", TTL: 1 << 62},
		"mode enforce":      {ID: "1", Action: Rule, Circuit: edge, Author: "a", Reason: "r", TTL: time.Hour},
		`action "shoot"`:    {ID: "1", Action: "shoot", Author: "a", Reason: "r"},
		"caller":            {ID: "1", Action: Rule, Mode: breaker.Off, Author: "a", Reason: "r", TTL: time.Hour},
		"id: empty":         {Action: Resume, Author: "a", Reason: "r"},
	} {
		m := newMesh(Config{}, nil)
		m.step(Input{Order: o})
		if len(m.found) != 1 || m.found[0].Kind != "order" || !strings.Contains(m.found[0].Why, want) || len(m.said) > 0 {
			t.Errorf("%+v: found %+v, said %v: want it refused because %q", o, m.found, m.said, want)
		}
	}
}

func TestAPolicyReachesALiveCircuitInPlace(t *testing.T) {
	m := newMesh(Config{}, nil)
	pay := edgeTo("pay")
	for range 10 {
		m.say(pay, 4, bad(10))
		m.pass(100 * time.Millisecond)
	}
	before, _ := m.Circuit(pay)
	generation := m.known(pay).whole.gate.Generation
	if before.State == breaker.Closed {
		t.Fatal("not open")
	}
	edited := policy.Default()
	edited.Revision, edited.Breaker.FailureRateThreshold = "r2", 70
	m.step(Input{Policy: &Policy{Circuit: pay, Settings: &edited}})
	after, _ := m.Circuit(pay)
	c := m.known(pay)
	if after.State != before.State || after.Since < before.Since || c.whole.gate.Generation != generation || after.Revision != "r2" || c.settings.Breaker.FailureRateThreshold != 70 {
		t.Errorf("%+v: want state, age and generation to stay, settings r2", after)
	}
	if d := m.last(t); d.Settings == nil || d.Settings.Revision != "r2" || d.Generation != generation {
		t.Errorf("said %+v: want the settings, under the same generation", d.Settings)
	}
	// Replicas that run on them are not told again; those that don't are.
	m.settings = edited
	m.say(pay, 4, well(1))
	m.pass(100 * time.Millisecond)
	m.say(pay, 4, well(1))
	m.pass(renewal + time.Second)
	if d := m.last(t); d.Settings != nil {
		t.Error("settings are sent on and on")
	}
	// What a replica runs on by itself does not undo them.
	m.settings = policy.Default()
	m.say(pay, 1, well(1))
	if v, _ := m.Circuit(pay); v.Revision != "r2" {
		t.Errorf("settings %q: want the daemon's to stand", v.Revision)
	}
	m.step(Input{Policy: &Policy{Circuit: pay, Settings: &policy.Settings{}}})
	if m.alerts("policy") != 1 {
		t.Error("settings that are none were not refused")
	}
}

func TestAMarkerIsToldForAWhile(t *testing.T) {
	m := newMesh(Config{}, nil)
	m.say(edgeTo("pay"), 1, well(1))
	m.step(Input{Marker: &Marker{Service: svc("pay"), Text: "deployed v2"}})
	m.pass(30 * time.Second)
	if v, _ := m.Circuit(edgeTo("pay")); v.Marker != "pay was changed 30 s ago: deployed v2" {
		t.Errorf("marker %q", v.Marker)
	}
	m.step(Input{Marker: &Marker{Service: svc("pay"), Text: "deployed v3", Ago: time.Minute}}) // by a daemon that has started since
	if v, _ := m.Circuit(edgeTo("pay")); v.Marker != "pay was changed 1m0s ago: deployed v3" {
		t.Errorf("marker %q", v.Marker)
	}
	m.at += recentMarker
	m.step(Input{Tick: true})
	if v, _ := m.Circuit(edgeTo("pay")); v.Marker != "" {
		t.Errorf("marker %q is told for ever", v.Marker)
	}
}
