package control

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/datapunk/switchgear/breaker"
	"github.com/datapunk/switchgear/internal/fleet"
	"github.com/datapunk/switchgear/policy"
)

func TestTraceRefusesWhatIsDamaged(t *testing.T) {
	header := string(AppendHeader(nil, Config{Daemon: "d"}))
	tick := line(t, Input{At: 5, Tick: true})
	for _, c := range []struct{ name, text, want string }{
		{"empty", "", "line 1: empty file"},
		{"no header", tick, "line 1: not a trace"},
		{"newer", `{"Trace":99}` + "\n", "version 99"},
		{"garbage", header + tick + "{\n", "line 3"},
		{"back in time", header + tick + line(t, Input{At: 4, Tick: true}), "line 3: time goes back"},
		{"no event", header + `{"At":5}` + "\n", "line 2: 0 events: want one of"},
		{"two events", header + `{"At":5,"Tick":true,"Gone":{}}` + "\n", "line 2: 2 events"},
		{"negative time", header + `{"At":-5,"Tick":true}` + "\n", "line 2: time -5ns"},
		{"state of none", `{"Trace":1,"State":[{}]}` + "\n", "line 1: state, input 1: 0 events"},
		{"cut", header + tick[:len(tick)-5], "line 2"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, inputs, err := ReadTrace(strings.NewReader(c.text))
			if err == nil {
				for _, e := range inputs {
					err = e
				}
			}
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v: want %q", err, c.want)
			}
		})
	}
}

func line(tb testing.TB, in Input) string {
	tb.Helper()
	b, err := AppendInput(nil, in)
	if err != nil {
		tb.Fatal(err)
	}
	return string(b)
}

func TestTheDocumentedTraceIsOne(t *testing.T) {
	doc, err := os.ReadFile("../../docs/trace-format.md")
	if err != nil {
		t.Fatal(err)
	}
	_, text, _ := strings.Cut(string(doc), "```jsonl\n")
	text, _, _ = strings.Cut(text, "```")
	h, inputs, err := ReadTrace(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	m, opened := New(h.Config), false
	for in, err := range inputs {
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range m.Step(in).Directives {
			opened = opened || o.Directive.State == breaker.Open
		}
	}
	if v, _ := m.Circuit(edge); !opened || v.Mode != breaker.ForcedOpen {
		t.Errorf("opened %v, mode %v: want it to open, and then forced open", opened, v.Mode)
	}
}

func FuzzReadTrace(f *testing.F) {
	f.Add([]byte(string(AppendHeader(nil, Config{Daemon: "d"})) + line(f, Input{At: 5, Hello: &fleet.Hello{Replica: replica(1)}})))
	hour := time.Hour
	all := []Input{
		{At: 6, Report: &ReplicaReport{From: replica(1), Report: fleet.Report{Circuits: []fleet.CircuitReport{{Callee: cart, Cells: []fleet.Cell{{Instance: "10.0.0.1:80", Buckets: []fleet.Bucket{{Counts: fleet.Counts{Offered: 90, Failed: 90}}}}}}}}}},
		{At: 7, Order: &Order{ID: "o", Action: Rule, Circuit: edge, Mode: breaker.ForcedOpen, Author: "a", Reason: "r", TTL: hour}},
		{At: 8, Policy: &Policy{Circuit: edge}},
		{At: 9, Marker: &Marker{Service: cart, Text: "v2"}},
		{At: 10, Member: &Member{Daemon: "d2", Circuits: []CircuitSummary{{Circuit: edge, Wants: true}}}},
		{At: 11, Told: &Told{Daemon: "d2", Output: Output{To: fleet.ReplicaID{Service: web}, Directive: fleet.Directive{Circuit: edge, Gate: fleet.Gate{State: breaker.Open, Generation: 9}}}}},
		{At: 12, Check: &Checked{Circuit: edge, OK: true}},
		{At: 13, Gone: &fleet.ReplicaID{Service: web}},
		{At: hour, Tick: true},
	}
	text := string(AppendHeader(nil, Config{Daemon: "d", Join: time.Second, Checkable: []string{"10.0.0.0/8"}}, Input{Tick: true}))
	for _, in := range all {
		text += line(f, in)
	}
	f.Add([]byte(text))
	f.Fuzz(func(t *testing.T, data []byte) {
		h, inputs, err := ReadTrace(bytes.NewReader(data))
		if err != nil {
			return
		}
		m := New(h.Config)
		for _, in := range h.State {
			m.Step(in)
		}
		for in, err := range inputs {
			if err != nil {
				return
			}
			m.Step(in)
		}
	})
}

func TestATraceThatBeginsInMidTimeGoesOn(t *testing.T) {
	f := newFleet(4)
	f.outage(4)
	f.step(Input{Order: &Order{ID: "o", Action: Rule, Circuit: policy.Circuit{Caller: web, Callee: web}, Mode: breaker.Off, Author: "a", Reason: "r", TTL: time.Hour}})
	f.step(Input{Order: &Order{ID: "p", Action: Pause, Namespace: "x", Author: "a", Reason: "r", TTL: time.Hour}})
	before := fmt.Sprintf("%+v", f.Circuits())
	header := AppendHeader(nil, Config{Daemon: "d", Seed: 2, Enforce: true}, f.State()...)
	if after := fmt.Sprintf("%+v", f.Circuits()); after != before {
		t.Error("reading the state changed it")
	}
	h, _, err := ReadTrace(bytes.NewReader(header))
	if err != nil {
		t.Fatal(err)
	}
	m := New(h.Config)
	for _, in := range h.State {
		m.Step(in)
	}
	v, _ := m.Circuit(edge)
	if v.State == breaker.Closed || v.Breakers != 4 || m.paused("x") == nil {
		t.Errorf("%+v: want it open, with its replicas, and the pause", v)
	}
	if v, _ := m.Circuit(policy.Circuit{Caller: web, Callee: web}); v.Mode != breaker.Off {
		t.Errorf("mode %v: want the override", v.Mode)
	}
	f.pass(20 * time.Millisecond)
	if old := f.out[len(f.out)-1].Directive.Epoch; m.epoch+1 < old.Counter {
		t.Errorf("epoch %d after %d: want it to go on", m.epoch, old.Counter)
	}
}
