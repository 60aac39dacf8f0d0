// Package rollout is the life of a changed policy before it is everybody's: a
// time in which it is only evaluated, a time in which a share of the replicas runs
// on it, and a time in which all do and it can still be taken back. It says when a
// stage is over, and when the change is taken back by itself, with the numbers.
//
// It is pure and deterministic: no clock, goroutine or I/O. A Trial evaluates live
// evidence, Decide judges what came of it.
package rollout

import (
	"fmt"
	"slices"
	"time"
)

// Stage of a rollout.
type Stage uint8

const (
	// MetricsOnly evaluates the change beside what is in force: nobody runs on it.
	MetricsOnly Stage = iota
	// Canary has a share of the replicas run on it; the others are compared.
	Canary
	// Enforce has all replicas run on it, and can still be taken back.
	Enforce
	// Done is the end of one that has passed.
	Done
	// RolledBack is the end of one that was taken back.
	RolledBack
)

var stageNames = [...]string{MetricsOnly: "metrics_only", Canary: "canary", Enforce: "enforce", Done: "done", RolledBack: "rolled_back"}

func (s Stage) String() string {
	if int(s) < len(stageNames) {
		return stageNames[s]
	}
	return fmt.Sprintf("unknown(%d)", s)
}

// MarshalText gives the word.
func (s Stage) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (s *Stage) UnmarshalText(text []byte) error {
	i := slices.Index(stageNames[:], string(text))
	if i < 0 {
		return fmt.Errorf("unknown stage %q: want one of %v", text, stageNames)
	}
	*s = Stage(i)
	return nil
}

// Over reports whether the rollout has ended.
func (s Stage) Over() bool { return s == Done || s == RolledBack }

// Plan is what a rollout is to keep to.
type Plan struct {
	// StageDuration is how long each stage lasts at least, 1s to 24h. More finds
	// what happens seldom.
	StageDuration time.Duration
	// CanaryPercent of the replicas, over 0 and under 100: one at least, and never
	// all. More finds sooner, and hurts more.
	CanaryPercent float64
	// MinimumCalls with a known outcome that a stage needs before it is judged, 1 to
	// 1,000,000,000.
	MinimumCalls float64
	// MaxBlockedPercent of good calls that the change may block beyond what is
	// blocked now, 0 to 100, in points.
	MaxBlockedPercent float64
	// MaxPassedPercent of bad calls that it may let through beyond what passes now, 0
	// to 100, in points; 100 is any.
	MaxPassedPercent float64
}

// Usual is a plan for who does not say otherwise.
func Usual() Plan {
	return Plan{StageDuration: 10 * time.Minute, CanaryPercent: 10, MinimumCalls: 1000, MaxBlockedPercent: 1, MaxPassedPercent: 20}
}

// Validate reports the first value that is out of its range.
func (p Plan) Validate() error {
	switch {
	case p.StageDuration < time.Second || p.StageDuration > 24*time.Hour:
		return fmt.Errorf("stageDuration %v: want 1s to 24h", p.StageDuration)
	case !(p.CanaryPercent > 0 && p.CanaryPercent < 100):
		return fmt.Errorf("canaryPercent %v: want over 0 and under 100", p.CanaryPercent)
	case !(p.MinimumCalls >= 1 && p.MinimumCalls <= 1e9):
		return fmt.Errorf("minimumCalls %v: want 1 to 1000000000", p.MinimumCalls)
	case !(p.MaxBlockedPercent >= 0 && p.MaxBlockedPercent <= 100):
		return fmt.Errorf("maxBlockedPercent %v: want 0 to 100", p.MaxBlockedPercent)
	case !(p.MaxPassedPercent >= 0 && p.MaxPassedPercent <= 100):
		return fmt.Errorf("maxPassedPercent %v: want 0 to 100", p.MaxPassedPercent)
	}
	return nil
}

// Side is what came, or would come, of calls under one policy.
type Side struct {
	// Good and Bad calls, those that it blocks included.
	Good float64 `json:"good"`
	Bad  float64 `json:"bad"`
	// BlockedGood are good calls that it blocks, PassedBad bad ones that it lets
	// through.
	BlockedGood float64 `json:"blockedGood"`
	PassedBad   float64 `json:"passedBad"`
	// Opened is how often a breaker opens.
	Opened int `json:"opened"`
}

// BlockedPercent of the good calls.
func (s *Side) BlockedPercent() float64 { return percent(s.BlockedGood, s.Good) }

// PassedPercent of the bad calls.
func (s *Side) PassedPercent() float64 { return percent(s.PassedBad, s.Bad) }

func percent(part, of float64) float64 {
	if of <= 0 {
		return 0
	}
	return 100 * min(part/of, 1)
}

// Numbers of a stage.
type Numbers struct {
	// Calls that were offered, and those whose outcome nobody knows: what is in
	// force had rejected them.
	Calls   float64 `json:"calls"`
	Unknown float64 `json:"unknown"`
	// Candidate is the changed policy: as evaluated in the first stage, as measured
	// at the replicas that run on it in the later ones. Current is the one before:
	// measured at the other replicas while there are any, else as evaluated.
	Candidate Side `json:"candidate"`
	Current   Side `json:"current"`
	Circuits  int  `json:"circuits"` // that the change concerns, with calls
	Replicas  int  `json:"replicas"` // that have reported them
	OnTrial   int  `json:"onTrial"`  // of those, run on the changed policy
}

// UnknownPercent of the calls.
func (n *Numbers) UnknownPercent() float64 { return percent(n.Unknown, n.Calls) }

// fewBad is how many bad calls a share of them needs before it is judged.
const fewBad = 100

// Decide says what comes after a stage has lasted a while, and why: the same stage
// while it goes on, the next one, or RolledBack.
func (p Plan) Decide(s Stage, lasted time.Duration, n *Numbers) (next Stage, why string) {
	if s.Over() {
		return s, ""
	}
	known := n.Candidate.Good + n.Candidate.Bad
	verb, noun := "would block", "would let through"
	if s != MetricsOnly {
		verb, noun = "blocks", "lets through"
	}
	// One moment is no evidence, however many calls it has.
	if known >= p.MinimumCalls && lasted >= p.StageDuration/5 {
		now, then := n.Candidate.BlockedPercent(), n.Current.BlockedPercent()
		if now-then > p.MaxBlockedPercent {
			return RolledBack, fmt.Sprintf("it %s %.1f %% of %.0f good calls, %.1f %% without it: more than the %g points that the rollout allows (stage %s; opened %d times, %d without it; %.1f %% of calls unknown)",
				verb, now, n.Candidate.Good, then, p.MaxBlockedPercent, s, n.Candidate.Opened, n.Current.Opened, n.UnknownPercent())
		}
		now, then = n.Candidate.PassedPercent(), n.Current.PassedPercent()
		if n.Candidate.Bad >= fewBad && n.Current.Bad >= fewBad && now-then > p.MaxPassedPercent {
			return RolledBack, fmt.Sprintf("it %s %.1f %% of %.0f bad calls, %.1f %% without it: more than the %g points that the rollout allows (stage %s; opened %d times, %d without it; %.1f %% of calls unknown)",
				noun, now, n.Candidate.Bad, then, p.MaxPassedPercent, s, n.Candidate.Opened, n.Current.Opened, n.UnknownPercent())
		}
	}
	switch {
	case lasted < p.StageDuration:
		return s, fmt.Sprintf("stage %s goes on for another %v", s, (p.StageDuration - lasted).Round(time.Second))
	case s == Canary && n.Replicas > 0 && n.OnTrial == 0:
		// A service of one replica has nobody to try it, or nobody has taken it on.
		if n.Replicas > 1 {
			return s, "no replica runs on the change yet"
		}
	case s == Enforce && n.OnTrial < n.Replicas && lasted < 3*p.StageDuration:
		// Those of an earlier release may never say that they do.
		return s, fmt.Sprintf("%d of %d replicas run on the change so far", n.OnTrial, n.Replicas)
	case known < p.MinimumCalls:
		return s, fmt.Sprintf("stage %s waits for calls: %.0f of %.0f", s, known, p.MinimumCalls)
	}
	return s + 1, fmt.Sprintf("stage %s passed: it %s %.1f %% of good calls, %.1f %% without it, and %s %.1f %% of bad ones, %.1f %% without it; %.1f %% of %.0f calls unknown",
		s, verb, n.Candidate.BlockedPercent(), n.Current.BlockedPercent(), noun, n.Candidate.PassedPercent(), n.Current.PassedPercent(), n.UnknownPercent(), n.Calls)
}
