package sim

import (
	"testing"
	"time"

	"github.com/datapunk/switchgear/breaker"
)

// server is an instance with a capacity: calls beyond it queue, and are refused
// when the queue is full.
type server struct {
	perSecond float64 // 0: no limit
	queue     float64 // calls
	free      time.Duration
	served    []time.Duration
}

func (s *server) answer(now time.Duration) breaker.Outcome {
	if s.perSecond == 0 {
		s.served = append(s.served, now)
		return good
	}
	wait := max(0, s.free-now)
	if wait.Seconds() > s.queue/s.perSecond {
		return breaker.Outcome{Latency: time.Millisecond, Verdict: breaker.Failure, Kind: breaker.Gateway}
	}
	s.free = max(s.free, now) + time.Duration(float64(time.Second)/s.perSecond)
	s.served = append(s.served, now)
	return breaker.Outcome{Latency: latency + wait}
}

func TestWeakReturnStaysNearCapacity(t *testing.T) {
	for seed := range uint64(8) {
		s := tell(seed, outage)
		servers := map[string]*server{}
		for _, i := range s.payments.Instances {
			servers[i] = &server{}
		}
		limit := func(perSecond float64) {
			for _, x := range servers {
				x.perSecond, x.queue, x.free = perSecond, perSecond/2, 0
			}
		}
		s.payments.Answer = func(from *Replica, instance string) breaker.Outcome {
			if now := s.Now(); now >= 5*time.Second && now < 10*time.Second {
				return broken
			}
			return servers[instance].answer(s.Now())
		}
		s.At(10*time.Second, func() { limit(10) })
		s.At(40*time.Second, func() { limit(0) })
		s.Run(70 * time.Second)
		count := func(from, to time.Duration) (n int) {
			for _, x := range servers {
				for _, at := range x.served {
					if at >= from && at < to {
						n++
					}
				}
			}
			return n
		}
		for _, at := range s.opened() {
			if at > 16*time.Second {
				t.Errorf("seed %d: reopened at %v", seed, at)
			}
		}
		sent, served := s.between(20*time.Second, 40*time.Second, ""), count(20*time.Second, 40*time.Second)
		full := time.Duration(0)
		for at := 40 * time.Second; at < 69*time.Second; at += 100 * time.Millisecond {
			if s.between(at, at+time.Second, "") >= 95 {
				full = at - 40*time.Second
				break
			}
		}
		if sent := float64(sent) / 20; sent > 36 {
			t.Errorf("seed %d: %.1f calls/s sent to a capacity of 30/s: want at most 36", seed, sent)
		}
		if served := float64(served) / 20; served < 21 {
			t.Errorf("seed %d: %.1f calls/s served of a capacity of 30/s: want at least 21", seed, served)
		}
		if full == 0 || full > 5*time.Second {
			t.Errorf("seed %d: full traffic %v after the cure: want within 5 s", seed, full)
		}
	}
}
