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
	Tick   bool             `json:",omitempty"` // time passes: 20 ms when urgent, 1 s in calm
}

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
}

// ReplicaView is what one replica last said of the circuit.
type ReplicaView struct {
	Replica    fleet.ReplicaID
	State      breaker.State
	Mode       breaker.Mode
	Generation uint64
	Age        time.Duration // since its last report
}
