// Package fleet is what replicas and control tell each other, and the pure
// halves of replica and gateway: when to report, how to obey, when to stop
// obeying. It starts no goroutine, reads no clock and does no I/O; durations
// travel, never points in time.
package fleet

import (
	"time"

	"github.com/datapunk/switchgear/breaker"
	"github.com/datapunk/switchgear/policy"
)

// Protocol is the version of the messages; a daemon serves every older one of
// the same major release.
const Protocol = 1

// ReplicaID names one running process of a service. Incarnation tells a
// restarted or cloned process from the one before.
type ReplicaID struct {
	Service     policy.Service
	Name        string
	Incarnation uint64
}

// Hello opens a stream: who I am, what I understand, and what I hold.
type Hello struct {
	Protocol uint32
	Features []string
	Replica  ReplicaID
	Version  string
	Held     []Directive // as last obeyed, with the time to live that is left
}

// Report is what one replica saw since its last one.
type Report struct {
	Sequence uint64
	Circuits []CircuitReport
	Answers  []Answer
	Dropped  uint64 // circuit reports lost since the last report, because the link broke
	Final    bool   // the replica is closing and gives its leases back
}

// CircuitReport is the replica's word on one of its circuits; the caller is the
// replica's own service.
type CircuitReport struct {
	Callee policy.Service
	Route  string // "" unless the route has a circuit of its own
	// Settings are sent with the first report of a stream and when they change.
	Settings *policy.Settings

	State      breaker.State
	Mode       breaker.Mode
	Generation uint64        // of the directive obeyed, 0 if none
	Since      time.Duration // age of the state
	Why        string        // of a local opening
	// CallTimeout is the median time that calls have until their deadline, 0 where
	// it is not known.
	CallTimeout time.Duration
	Cells       []Cell
}

// Cell is the evidence of one part of a circuit.
type Cell struct {
	Route, Instance string
	Generation      uint64 // of the part's directive, 0 if none
	Buckets         []Bucket
}

// Bucket is 100 ms of evidence.
type Bucket struct {
	// Age of the bucket's end at sending, in steps of BucketWidth.
	Age time.Duration
	Counts
}

// BucketWidth is the step of event time.
const BucketWidth = 100 * time.Millisecond

// Counts of outcomes. Succeeded, Failed and Kinds are of the obeyed generation;
// Late ones were admitted under an earlier: they are demand, never verdicts.
type Counts struct {
	Offered   uint32 // all calls that asked, permitted or not
	Succeeded uint32
	Failed    uint32
	Ignored   uint32
	Inherited uint32
	Rejected  uint32
	Shadow    uint32 // let through by the mode against the state
	Slow      uint32
	// Late are the outcomes of earlier generations.
	LateSucceeded, LateFailed uint32
	// Retried are the outcomes of second and later attempts among Succeeded and
	// Failed; a fault is located by first attempts only.
	RetriedSucceeded, RetriedFailed uint32
	Kinds                           [breaker.Kinds]uint32
	Latency                         time.Duration // sum over Succeeded
	LateLatency                     time.Duration // sum over LateSucceeded
}

// Directive is control's word for one circuit to one replica of its caller.
type Directive struct {
	Circuit policy.Circuit
	Epoch   Epoch
	// TTL is how long the word stands without a newer one.
	TTL time.Duration
	// Enforce is false for a word that is only shown: the replica decides alone.
	Enforce bool
	Gate
	Parts  []Part
	Leases []Lease
	// Hot asks for every answer at once.
	Hot bool
	// Override is an operator's word on the whole circuit. It stands above the gate,
	// also where Enforce is false, and past the directive's TTL to its own; a newer
	// directive without it ends it.
	Override *Override `json:",omitempty"`
	// Settings are what a policy of the daemon says, sent until the replica reports
	// that it runs on them.
	Settings *policy.Settings `json:",omitempty"`
}

// Gate is what a directive says of a circuit, or of one part of it.
type Gate struct {
	State      breaker.State
	Phase      string  // "", "ramp" or "limited"
	Share      float64 // admitted, 0–1
	Generation uint64  // rises with each change of verdict; outcomes name it
	Reason     string
}

// Part is the gate of one instance.
type Part struct {
	Instance string
	Gate
	Override *Override `json:",omitempty"`
}

// Override is an operator's word: never reject, judge nothing, or reject all.
type Override struct {
	ID             string
	Mode           breaker.Mode // never Enforce
	Author, Reason string
	TTL            time.Duration // what is left of it
}

// Lease is leave for one probe call within a time.
type Lease struct {
	Token    uint64
	Instance string // "" for any
	TTL      time.Duration
}

// Answer is what became of a lease.
type Answer struct {
	Circuit policy.Circuit
	Token   uint64
	Used    bool // false: given back unused
	Verdict breaker.Verdict
	Kind    breaker.Kind
	Latency time.Duration
}

// Epoch orders directives for a circuit: a greater one wins, an equal or lesser
// one is ignored.
type Epoch struct {
	Incarnation uint64
	Counter     uint64
	Daemon      string
}

// Less orders epochs: by incarnation, then counter, then daemon's name.
func (e Epoch) Less(o Epoch) bool {
	if e.Incarnation != o.Incarnation {
		return e.Incarnation < o.Incarnation
	}
	if e.Counter != o.Counter {
		return e.Counter < o.Counter
	}
	return e.Daemon < o.Daemon
}

// After is the directive some time later: less of every time is left, and what
// has had its time is gone. It shares nothing with d that After changes.
func (d Directive) After(waited time.Duration) Directive {
	d.TTL -= waited
	d.Override = d.Override.after(waited)
	parts := d.Parts
	d.Parts = nil
	for _, p := range parts {
		p.Override = p.Override.after(waited)
		d.Parts = append(d.Parts, p)
	}
	leases := d.Leases
	d.Leases = nil
	for _, l := range leases {
		if l.TTL -= waited; l.TTL > 0 {
			d.Leases = append(d.Leases, l)
		}
	}
	return d
}

// longest is until when anything of the directive stands.
func (d *Directive) longest() time.Duration {
	most := d.TTL
	if d.Override != nil {
		most = max(most, d.Override.TTL)
	}
	for _, p := range d.Parts {
		if p.Override != nil {
			most = max(most, p.Override.TTL)
		}
	}
	return most
}

func (o *Override) after(waited time.Duration) *Override {
	if o == nil || o.TTL <= waited {
		return nil
	}
	left := *o
	left.TTL -= waited
	return &left
}
