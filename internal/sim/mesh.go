package sim

import (
	"time"

	"github.com/datapunk/switchgear/breaker"
	"github.com/datapunk/switchgear/internal/fleet"
	"github.com/datapunk/switchgear/policy"
)

// Callee is a service that is called: its instances, and how they answer.
type Callee struct {
	Service   policy.Service
	Instances []string
	// Answer decides what a call comes to: from a replica, to an instance.
	Answer func(from *Replica, instance string) breaker.Outcome
}

// Load is one replica calling a callee steadily, and what came of it.
type Load struct {
	Circuit  *fleet.Circuit
	Offered  int
	Rejected int
	Failed   int
	Arrivals []Arrival
}

// Arrival is a call that reached an instance.
type Arrival struct {
	At       time.Duration
	Instance string
	Failed   bool
}

// Call lets a replica call a callee so many times a second, evenly with a little
// jitter, from now on. As a transport does, it picks an instance before sending
// and leaves out those that are open.
func (r *Replica) Call(to *Callee, perSecond float64, s policy.Settings) *Load {
	w := r.world
	l := &Load{Circuit: r.Guard(to.Service, s)}
	period := time.Duration(float64(time.Second) / perSecond)
	next := w.rng.IntN(len(to.Instances))
	var call func()
	call = func() {
		l.Offered++
		next++
		r.try(l, to, next)
		w.After(period*9/10+time.Duration(w.rng.Int64N(int64(period)/5+1)), call)
	}
	w.After(time.Duration(w.rng.Int64N(int64(period)+1)), call)
	return l
}

func (r *Replica) try(l *Load, to *Callee, first int) {
	w := r.world
	permit, err := l.Circuit.Breaker.Acquire()
	if err != nil {
		l.Rejected++
		r.Touch()
		return
	}
	for i := range to.Instances {
		name := to.Instances[(first+i)%len(to.Instances)]
		x := l.Circuit.Instance(name)
		part, err := x.Acquire()
		if err != nil {
			continue
		}
		apart := x.View().State != breaker.Closed
		tally := l.Circuit.Tally("", name)
		o := to.Answer(r, name)
		l.Arrivals = append(l.Arrivals, Arrival{w.now, name, o.Verdict == breaker.Failure})
		w.After(o.Latency, func() {
			if o.Verdict == breaker.Failure {
				l.Failed++
			}
			counted := true
			if apart {
				permit.Release()
			} else {
				counted = permit.Done(o)
			}
			if part.Done(o) && counted {
				tally.Add(o, o.Latency)
			}
			r.Touch()
		})
		return
	}
	permit.Release()
	l.Rejected++
}

// Between counts the arrivals of a span of time, all or those at one instance.
func (l *Load) Between(from, to time.Duration, instance string) (n int) {
	for _, a := range l.Arrivals {
		if a.At >= from && a.At < to && (instance == "" || a.Instance == instance) {
			n++
		}
	}
	return n
}
