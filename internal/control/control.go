// Package control is the mind: it takes what replicas report and says what
// their breakers do, each word with its reason. It is pure and deterministic:
// the same inputs and seed give the same outputs, byte for byte, in a process,
// in the daemon, simulated or replayed. It keeps no reference to what it is
// handed, and is for one goroutine at a time.
package control

import (
	"time"

	"github.com/datapunk/switchgear/breaker"
	"github.com/datapunk/switchgear/internal/fleet"
	"github.com/datapunk/switchgear/policy"
)

// Input is one event that control learns of; exactly one of the pointers is
// set, or Tick. At rises from input to input and is the receiver's own clock.
type Input struct {
	At     time.Duration
	Hello  *fleet.Hello     `json:",omitempty"` // a replica's stream begins
	Gone   *fleet.ReplicaID `json:",omitempty"` // a replica's stream has ended
	Report *ReplicaReport   `json:",omitempty"`
	Order  *Order           `json:",omitempty"` // of an operator
	Policy *Policy          `json:",omitempty"` // what the daemon's policies say of a circuit
	Marker *Marker          `json:",omitempty"` // somebody has changed something
	Member *Member          `json:",omitempty"` // another daemon lives
	Told   *Told            `json:",omitempty"` // another daemon has said something
	Check  *Checked         `json:",omitempty"` // what came of an active check
	Tick   bool             `json:",omitempty"` // time passes: 20 ms when urgent, 1 s in calm
	// Observer is the credential and address that Hello came by.
	Observer string `json:",omitempty"`
}

// Said is what control says to one input, each in its order. It is the caller's.
type Said struct {
	Directives []Output `json:",omitempty"`
	Findings   []Notice `json:",omitempty"`
	Members    []Member `json:",omitempty"` // for every other daemon
	Checks     []Check  `json:",omitempty"`
	// New are circuits that were not known before: who keeps policies tells what
	// they say of them.
	New []policy.Circuit `json:",omitempty"`
}

// Notice is a finding: something that a person should know, with its numbers in
// words. Kind is one of NoticeKinds.
type Notice struct {
	Kind      string
	Namespace string
	Circuit   policy.Circuit `json:",omitzero"`
	Why       string
	// Ended is true where an earlier one is no longer so.
	Ended bool `json:",omitempty"`
}

// Where is what a finding is about: a circuit, a namespace, or all.
func (n *Notice) Where() string {
	switch {
	case n.Circuit != policy.Circuit{}:
		return n.Circuit.String()
	case n.Namespace != "":
		return n.Namespace
	}
	return "everything"
}

// NoticeKinds are all kinds of findings.
var NoticeKinds = []string{"guard", "grading", "order", "policy"}

// ReplicaReport is a report with its sender. Observer is the credential and
// address that it came by: what observers are counted by.
type ReplicaReport struct {
	From     fleet.ReplicaID
	Observer string
	fleet.Report
}

// Output is a directive for one replica, or, with an empty name, for all
// replicas of To.Service.
type Output struct {
	To        fleet.ReplicaID
	Directive fleet.Directive
}

// CircuitView is what control knows of a circuit: for API, command line and
// pages. Reading it changes nothing.
type CircuitView struct {
	Circuit        policy.Circuit
	State          breaker.State
	Mode           breaker.Mode
	Phase          string
	Since          time.Duration // age of the state
	FailureRate    float64       // percent over the window
	CallsPerSecond float64       // offered
	Breakers       int           // replicas that report this circuit
	Open           int           // of them open
	Share          float64       // admitted over the fleet, 0–1
	Why            string
	Override       *fleet.Override // an operator's word that stands above, with what is left of it
	Held           string          // why automation may not open it, although it fails
	Paused         string          // who has paused automation there, for how long and why
	Revision       string          // of its settings
	NextProbe      time.Duration   // until the wait is over; 0 if not open
	Holders        []string        // replicas that have leave for a probe now
	Inherited      uint32          // outcomes over the window that were somebody else's fault
	Marker         string          // what was last changed at the callee, and when
	Parts          []PartView
	Replicas       []ReplicaView
}

// PartView is one part of a circuit that has a verdict of its own.
type PartView struct {
	Instance string
	State    breaker.State
	Phase    string
	Share    float64
	Since    time.Duration
	Why      string
	Override *fleet.Override
}

// ReplicaView is what one replica last said of the circuit.
type ReplicaView struct {
	Replica    fleet.ReplicaID
	State      breaker.State
	Mode       breaker.Mode
	Generation uint64
	Age        time.Duration // since its last report
}
