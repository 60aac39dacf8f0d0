package scenario

import (
	"fmt"
	"runtime"
	"time"

	"github.com/datapunk/switchgear/breaker"
	"github.com/datapunk/switchgear/internal/control"
	"github.com/datapunk/switchgear/internal/sim"
	"github.com/datapunk/switchgear/policy"
)

// Options of a run; the zero value plays the scenario as it stands.
type Options struct {
	// Configure, if set, has the last word on the daemon's configuration: what it
	// is to do without.
	Configure func(*control.Config)
	// Inputs, if set, hears all that control is given: a recording.
	Inputs func(control.Input)
	Hooks  Hooks
	// Script, if set, plans what is to be done and looked at while it runs.
	Script func(*Stage)
	// Unmarked leaves out whose fault a failed reply is: callers that do not know of
	// inherited failures count each as the callee's own.
	Unmarked bool
	// Progress, if set, is called ten times a virtual second; false ends the run.
	Progress func(now time.Duration) bool
	// Heap, if set, measures memory at the end, while all of the mesh is there.
	Heap func() uint64
}

// Hooks hear the truth as it happens, for measures of one's own. Any may be nil.
type Hooks struct {
	// Sent hears of a call that is let through, as it leaves, without an end.
	Sent func(*CallRecord)
	// Call hears of a call when it has ended, or was rejected.
	Call   func(*CallRecord)
	Change func(replica string, x sim.Change)
	Said   func(at time.Duration, out *control.Output)
	Found  func(at time.Duration, n *control.Notice)
}

// CallRecord is the truth about one attempt. It is the hook's only while it runs.
type CallRecord struct {
	Circuit         policy.Circuit
	From            string // the replica
	Instance, Route string
	Sent, Ended     time.Duration
	Attempt         uint8
	Rejected        bool
	Probe           bool // sent while the breaker was not closed
	// Lost calls failed, or, rejected, would have failed at the callee itself.
	Lost    bool
	Outcome breaker.Outcome // of calls that were not rejected
}

// Result is what came of a scenario.
type Result struct {
	Scenario string          `json:"scenario"`
	Seed     uint64          `json:"seed"`
	Seconds  float64         `json:"seconds"`
	Requests []Requests      `json:"requests"`
	Circuits []CircuitResult `json:"circuits"`
	Timeline []Entry         `json:"timeline"`
	// TimelineMore are the lines that were left out.
	TimelineMore int   `json:"timelineMore"`
	Stats        Stats `json:"stats"`
}

// CircuitResult is what came of one circuit, and of it under peers.
type CircuitResult struct {
	Circuit  string `json:"circuit"`
	Breakers int    `json:"breakers"`
	Figures
	Peers map[string]Figures `json:"peers,omitempty"`
	// Ticks are the truth by tenths of a second.
	Ticks []Tick `json:"-"`
}

// Stats say how large the mesh was.
type Stats struct {
	Objects  int    `json:"objects"` // replicas, breakers, counters
	Replicas int    `json:"replicas"`
	Breakers int    `json:"breakers"` // of circuits and instances
	Events   uint64 `json:"events"`
	Messages uint64 `json:"messages"`
	Bytes    uint64 `json:"bytes,omitempty"` // of memory, where it was measured
}

// Run plays a scenario. The error says what is wrong with it, or why it ended
// early; the scenario is not changed.
func Run(s *Scenario, o Options) (*Result, error) {
	if err := s.Validate(); err != nil {
		return nil, err
	}
	m := build(s, &o)
	for now := time.Duration(0); now < s.Duration; {
		now = min(now+TickWidth, s.Duration)
		m.w.Run(now)
		if o.Progress != nil && !o.Progress(now) {
			return nil, fmt.Errorf("simulate: stopped at %v of %v", now, s.Duration)
		}
		if m.w.Full() {
			return nil, fmt.Errorf("simulate: %d events by %v of %v, and %d wait: at most %d and %d; make it shorter, or its load less",
				m.w.Stats().Events, now, s.Duration, m.w.Stats().Waiting, uint64(MaxEvents), maxWaiting)
		}
	}
	return m.result(&o), nil
}

// Local plays a scenario without a daemon: each breaker alone, on the same
// settings and seed.
func Local(s *Scenario, o Options) (*Result, error) {
	alone := *s
	alone.Daemons = 0
	return Run(&alone, o)
}

// AddPeer puts another run's figures beside those of this one.
func (r *Result) AddPeer(name string, other *Result) {
	for i := range r.Circuits {
		c := &r.Circuits[i]
		if c.Peers == nil {
			c.Peers = make(map[string]Figures)
		}
		for j := range other.Circuits {
			if other.Circuits[j].Circuit == c.Circuit {
				c.Peers[name] = other.Circuits[j].Figures
			}
		}
	}
}

func (m *mesh) result(o *Options) *Result {
	r := &Result{Scenario: m.Name, Seed: m.Seed, Seconds: m.Duration.Seconds(), Requests: []Requests{}, Circuits: []CircuitResult{}}
	for _, x := range m.services {
		if x.Load != nil {
			r.Requests = append(r.Requests, x.made)
		}
	}
	for _, c := range m.circuits {
		c.tick(m.Duration - 1)
		r.Circuits = append(r.Circuits, CircuitResult{Circuit: c.String(), Breakers: c.breakers, Figures: c.sum(), Ticks: c.ticks})
	}
	m.log.finish(func(id policy.Circuit) int { return m.byID[id].breakers })
	r.Timeline, r.TimelineMore = m.log.entries, m.log.more
	s := m.w.Stats()
	r.Stats = Stats{
		Objects: s.Replicas + s.Breakers + s.Parts + s.Labels, Replicas: len(m.replicas),
		Breakers: s.Breakers + s.Parts, Events: s.Events, Messages: s.Messages,
	}
	if o.Heap != nil {
		r.Stats.Bytes = o.Heap()
		runtime.KeepAlive(m)
	}
	return r
}

// said hears what control says.
func (m *mesh) said(out control.Output) {
	m.log.directive(m.w.Now(), &out)
	if m.hooks.Said != nil {
		m.hooks.Said(m.w.Now(), &out)
	}
}

// found hears what control says to people.
func (m *mesh) found(n control.Notice) {
	if m.hooks.Found != nil {
		m.hooks.Found(m.w.Now(), &n)
	}
}

// tell the hook of a call that has ended.
func (m *mesh) tell(c *call, o breaker.Outcome, rejected, lost bool) {
	if m.hooks.Call == nil {
		return
	}
	r := c.record()
	r.Ended, r.Rejected, r.Lost, r.Outcome = m.w.Now(), rejected, lost, o
	if rejected {
		r.Sent = r.Ended
	}
	m.hooks.Call(&r)
}

func (c *call) record() CallRecord {
	e := c.end
	return CallRecord{
		Circuit: e.Circuit, From: e.process.Name, Instance: e.to.instances[c.instance].name, Route: e.to.route(c.route),
		Sent: c.sent, Attempt: c.attempt, Probe: c.probe,
	}
}
