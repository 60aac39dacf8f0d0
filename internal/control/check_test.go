package control

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/datapunk/switchgear/breaker"
	"github.com/datapunk/switchgear/internal/fleet"
	"github.com/datapunk/switchgear/policy"
)

func TestOnlyReportedAddressesWithinTheListAreAsked(t *testing.T) {
	m := New(Config{Checkable: []string{"10.0.0.0/8", "fd00::/8", "nonsense"}})
	for instance, want := range map[string]string{
		"10.1.2.3:8080":               "10.1.2.3:8080",
		"[fd00::1]:80":                "[fd00::1]:80",
		"[::ffff:10.1.2.3]:80":        "10.1.2.3:80", // the same one in other clothes
		"169.254.169.254:80":          "",            // where clouds keep their secrets
		"[fe80::1]:80":                "",
		"[fe80::1%eth0]:80":           "",
		"[fd00::1%eth0]:80":           "",
		"[fd00:ec2::254]:80":          "[fd00:ec2::254]:80", // only since the list has it
		"127.0.0.1:6379":              "",
		"[::1]:6379":                  "",
		"[::ffff:127.0.0.1]:80":       "",
		"[::ffff:169.254.169.254]:80": "",
		"0.0.0.0:80":                  "",
		"[::]:80":                     "",
		"224.0.0.1:80":                "",
		"192.168.0.1:80":              "",
		"10.1.2.3:0":                  "",
		"10.1.2.3":                    "",
		"metadata.internal:80":        "", // names are not resolved
		"0x0a.1:80":                   "",
		"":                            "",
	} {
		got, ok := m.mayCheck(instance, 0)
		if ok != (want != "") || ok && got.String() != want {
			t.Errorf("%q: %v, %v: want %q", instance, got, ok, want)
		}
	}
	if got, ok := m.mayCheck("10.1.2.3:8080", 9000); !ok || got != netip.MustParseAddrPort("10.1.2.3:9000") {
		t.Errorf("%v: want the policy's own port", got)
	}
	if _, ok := New(Config{Checkable: []string{"127.0.0.0/8"}}).mayCheck("127.0.0.1:80", 0); !ok {
		t.Error("loopback is not asked although it is on the list")
	}
}

func checkedMesh(networks ...string) *mesh {
	m := newMesh(Config{Checkable: networks}, func(s *policy.Settings) {
		s.ActiveCheck = policy.ActiveCheck{Interval: 2 * time.Second, Path: "/healthz"}
	})
	for range 10 {
		m.say(edgeTo("pay"), 4, bad(10), "10.0.0.1:80", "169.254.169.254:80")
		m.pass(100 * time.Millisecond)
	}
	return m
}

func (m *mesh) asked(d time.Duration) (asked []Check) {
	for end := m.at + d; m.at < end; m.at += 20 * time.Millisecond {
		asked = append(asked, m.Step(Input{At: m.at, Tick: true}).Checks...)
	}
	return asked
}

func TestAnOpenCircuitThatNobodyCallsIsAsked(t *testing.T) {
	m := checkedMesh("10.0.0.0/8")
	m.asked(20 * time.Second) // the probes that nobody could use have ended
	asked := m.asked(20 * time.Second)
	if len(asked) != 10 {
		t.Fatalf("asked %d times in 20 s: want once in two", len(asked))
	}
	for _, q := range asked {
		if q.Address.String() != "10.0.0.1:80" || q.Path != "/healthz" || q.Deadline != checkDeadline {
			t.Errorf("asked %+v: want only what is on the list", q)
		}
	}
	last := asked[len(asked)-1]
	m.asked(2 * time.Second)
	m.step(Input{Check: &Checked{Circuit: last.Circuit, Instance: "10.9.9.9:80", OK: true}})
	if v, _ := m.Circuit(last.Circuit); v.State == breaker.Closed {
		t.Error("an answer that nobody asked for moved it")
	}
	m.step(Input{Check: &Checked{Circuit: last.Circuit, Instance: last.Instance, Why: "connection refused"}})
	if v, _ := m.Circuit(last.Circuit); v.State == breaker.Closed || !strings.Contains(v.Why, "connection refused") {
		t.Errorf("%v: %s", v.State, v.Why)
	}
	m.asked(2 * time.Second)
	m.step(Input{Check: &Checked{Circuit: last.Circuit, Instance: last.Instance, OK: true}})
	v, _ := m.Circuit(last.Circuit)
	if v.State != breaker.Closed || v.Phase != "ramp" || !strings.Contains(v.Why, "10.0.0.1:80 has answered an active check") {
		t.Errorf("%v, %q: %s: want the way back begun", v.State, v.Phase, v.Why)
	}
}

func TestNothingIsAskedUnlessItIsWanted(t *testing.T) {
	if asked := checkedMesh().asked(20 * time.Second); len(asked) > 0 {
		t.Errorf("%d checks without a list of networks", len(asked))
	}
	m := checkedMesh("10.0.0.0/8")
	m.settings.ActiveCheck = policy.ActiveCheck{}
	m.say(edgeTo("pay"), 1, fleet.Counts{})
	if asked := m.asked(20 * time.Second); len(asked) > 0 {
		t.Errorf("%d checks without a policy", len(asked))
	}
	m = checkedMesh("10.0.0.0/8")
	calls := 0
	for range 100 { // whoever is called is probed by calls
		m.say(edgeTo("pay"), 4, fleet.Counts{Offered: 3, Rejected: 3})
		calls += len(m.asked(100 * time.Millisecond))
	}
	if calls > 0 {
		t.Errorf("%d checks although there are calls to probe with", calls)
	}
}
