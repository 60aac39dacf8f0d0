package control

import (
	"math"
	"time"

	"github.com/datapunk/switchgear/internal/fleet"
)

// Solo is control over the one replica of a process, where no fleet decides: the
// same mind, fed with the replica's own evidence, its words obeyed at once. It has
// no mind while the fleet decides for all of the replica's circuits.
type Solo struct {
	replica *fleet.Replica
	seed    uint64
	mind    *Mind
	next    time.Duration // when the mind is to look again
}

// NewSolo makes it for a replica, which it governs from then on. Seed decides its
// choices.
func NewSolo(r *fleet.Replica, seed uint64) *Solo {
	r.Govern()
	return &Solo{replica: r, seed: seed, next: math.MaxInt64}
}

// Step lets it look at what was sampled, and obeys. Call it after each Sample, and
// when Due.
func (s *Solo) Step(now time.Duration) {
	rep, from, ok := s.replica.OwnReport(now)
	if s.mind == nil {
		if !ok {
			return
		}
		s.mind = New(Config{Daemon: "own", Incarnation: 1, Seed: s.seed, Enforce: true, Alone: true})
	}
	id := s.replica.ID()
	if len(from) > 0 {
		s.take(now, Input{Hello: &fleet.Hello{Protocol: fleet.Protocol, Replica: id, Held: from}})
	}
	switch {
	case ok:
		s.take(now, Input{Report: &ReplicaReport{From: id, Report: rep}})
	case now >= s.next:
		s.take(now, Input{Tick: true})
	}
	if fleets, own := s.replica.Led(now); own == 0 && fleets > 0 {
		s.mind, s.next = nil, math.MaxInt64
	}
}

func (s *Solo) take(now time.Duration, in Input) {
	in.At = now
	for _, o := range s.mind.Step(in).Directives {
		s.replica.ObeyOwn(now, o.Directive)
	}
	s.next = now + s.mind.Interval()
}

// Due is when Step has something to do, given that nothing is sampled until then.
func (s *Solo) Due() time.Duration { return s.next }

// begin forgets what the circuit was told, so that it can go on from another word.
func (c *circuit) begin() {
	c.whole.gate = fleet.Gate{Share: 1}
	c.parts = nil
}
