package scenario

import (
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/datapunk/switchgear/breaker"
	"github.com/datapunk/switchgear/internal/sim/fault"
)

// Fault is something that goes wrong in a part of the mesh for a time. A part is
// what all of its lists name: an empty list is everything.
type Fault struct {
	Kind string
	At   time.Duration
	For  time.Duration // 0 lasts to the end
	// Service is where it happens: the callee, of a surge the caller.
	Service string
	// Names, globs like "pay*", or ranges like "web-1..19".
	Instances, Routes, Callers, Replicas []string

	Percent float64
	As      string // the kind of failure
	Latency time.Duration
	Factor  float64
	Period  time.Duration
	Down    time.Duration
	Gap     time.Duration
	Retries int
	Backoff time.Duration
	Delay   time.Duration
	Jitter  time.Duration
	Family  string
	Seed    uint64
}

// kind is a word for what can go wrong.
type kind struct {
	name  string
	about string
	where place
	// What it takes besides its part and time: what must be said, and what may be.
	needs, takes []string
	percent      float64 // unless said
}

// place is what a fault happens to.
type place int

const (
	atCallee place = iota
	atCaller       // a service's own load
	atReplicas
	atDaemon
	atLink
)

// kinds are all words, in the order of the documentation.
var kinds = []kind{
	{"outage", "calls fail at once", atCallee, nil, []string{"percent", "as"}, 100},
	{"brownout", "a share of the calls fails", atCallee, []string{"percent"}, []string{"as"}, 0},
	{"creep", "the share of failing calls grows evenly to percent", atCallee, []string{"percent"}, []string{"as"}, 0},
	{"slow", "median latency is latency", atCallee, []string{"latency"}, nil, 0},
	{"hang", "calls get no answer", atCallee, nil, []string{"percent"}, 100},
	{"flapping", "bad for half of each period and good for the other", atCallee, []string{"period"}, []string{"percent", "as"}, 100},
	{"pause", "calls wait for its end", atCallee, nil, nil, 0},
	{"partition", "callers can't reach the callee: no answer, or as connect a refusal", atCallee, nil, []string{"as"}, 100},
	{"capacity", "percent of the capacity is left", atCallee, []string{"percent"}, nil, 0},
	{"retry_storm", "percent of the capacity is left, and callers retry so often more", atCallee, []string{"percent", "retries"}, []string{"backoff"}, 0},
	{"cold_start", "down at first, then percent of the capacity and factor times the latency, which get well by the end", atCallee, nil, []string{"percent", "factor", "down"}, 20},
	{"deployment", "instances restart one by one, each down for a while, with a gap between", atCallee, []string{"down"}, []string{"gap"}, 100},
	{"bad_requests", "a share of the calls is the caller's mistake (4xx)", atCallee, []string{"percent"}, nil, 0},
	{"cancels", "callers cancel a share of their calls", atCallee, []string{"percent"}, nil, 0},
	{"family", "an episode drawn from a family of lab evaluate, from its beginning", atCallee, []string{"family"}, []string{"seed"}, 0},
	{"surge", "the service's own load grows by the factor", atCaller, []string{"factor"}, nil, 0},
	{"liar", "replicas report factor times their calls, all as failures", atReplicas, []string{"factor"}, nil, 0},
	{"restart", "replicas are killed, and start anew at the end, knowing nothing", atReplicas, nil, nil, 0},
	{"daemon_partition", "replicas can't reach the daemon", atReplicas, nil, nil, 0},
	{"daemon_kill", "the daemon is killed, and started again at the end", atDaemon, nil, nil, 0},
	{"link", "messages between replicas and daemon travel for delay and up to jitter more; percent are lost and sent again", atLink, nil, []string{"delay", "jitter", "percent"}, 0},
}

func kindNamed(name string) *kind {
	for i := range kinds {
		if kinds[i].name == name {
			return &kinds[i]
		}
	}
	return nil
}

// percent of the fault, or its kind's own.
func (f *Fault) percent() float64 {
	if f.Percent == 0 {
		return kindNamed(f.Kind).percent
	}
	return f.Percent
}

// end of the fault in a scenario of so long, whose callee has so many instances.
func (f *Fault) end(duration time.Duration, instances int) time.Duration {
	switch {
	case f.Kind == "deployment":
		return min(duration, f.At+time.Duration(instances)*(f.Down+f.Gap))
	case f.For == 0:
		return duration
	}
	return min(duration, f.At+f.For)
}

// matches reports whether a list names something.
func matches(list []string, name string) bool {
	if len(list) == 0 {
		return true
	}
	for _, p := range list {
		if ok, _ := path.Match(p, name); ok || inRange(p, name) {
			return true
		}
	}
	return false
}

// inRange reads "web-1..19".
func inRange(pattern, name string) bool {
	prefix, first, last, ok := rangeOf(pattern)
	if !ok {
		return false
	}
	number, found := strings.CutPrefix(name, prefix)
	n, err := strconv.Atoi(number)
	return found && err == nil && n >= first && n <= last
}

func rangeOf(pattern string) (prefix string, first, last int, ok bool) {
	from, to, ok := strings.Cut(pattern, "..")
	if !ok {
		return "", 0, 0, false
	}
	dash := strings.LastIndexByte(from, '-')
	first, err1 := strconv.Atoi(from[dash+1:])
	last, err2 := strconv.Atoi(to)
	if dash < 0 || err1 != nil || err2 != nil || last < first {
		return "", 0, 0, false
	}
	return from[:dash+1], first, last, true
}

// weather is the truth that one call meets.
type weather struct {
	fault.Weather
	as             breaker.Kind // of failures at once
	badRequest     float64
	cancel         float64
	unreached      bool // nothing gets through
	retries        int  // more than the caller's own
	retriesBackoff time.Duration
}

// going is a fault that is under way, with what its lists name looked up.
type going struct {
	*Fault
	index     int
	from, to  time.Duration
	share     float64 // of the calls that it hits, or of what is left
	as        breaker.Kind
	instances []bool // of the callee; nil is all, as of those that follow
	routes    []bool
	callers   []bool // by service
	replicas  []bool // by replica of the whole mesh
	episode   *fault.Episode
}

// hits reports whether the fault is of a call's part.
func (g *going) hits(instance, route int, from *replica) bool {
	return holds(g.instances, instance) && holds(g.routes, route) && g.by(from)
}

// by reports whether a replica is of the fault's part.
func (g *going) by(r *replica) bool {
	return holds(g.callers, r.service.index) && holds(g.replicas, r.index)
}

func holds(some []bool, i int) bool { return some == nil || some[i] }

// touch changes the weather of a call that the fault hits.
func (g *going) touch(w *weather, now time.Duration, instance int, from *replica) {
	share := g.share
	passed := float64(now-g.from) / float64(max(g.to-g.from, 1))
	switch g.Kind {
	case "outage", "brownout":
		w.fail(share, g.as)
	case "creep":
		w.fail(share*passed, g.as)
	case "flapping":
		if (now-g.from)%g.Period < g.Period/2 {
			w.fail(share, g.as)
		}
	case "slow":
		w.Latency = max(w.Latency, g.Latency)
	case "hang":
		w.Hang = max(w.Hang, share)
	case "pause":
		w.Delay = max(w.Delay, g.to-now)
	case "partition":
		if w.unreached = g.As != "connect"; !w.unreached {
			w.fail(1, breaker.Connect)
		}
	case "capacity":
		w.Capacity *= share
	case "retry_storm":
		w.Capacity *= share
		w.retries, w.retriesBackoff = max(w.retries, g.Retries), g.Backoff
	case "cold_start":
		if now < g.from+g.Down {
			w.fail(1, breaker.Connect)
			return
		}
		passed = float64(now-g.from-g.Down) / float64(max(g.to-g.from-g.Down, 1))
		w.Capacity *= share + (1-share)*passed
		factor := g.Factor
		if factor == 0 {
			factor = 3
		}
		w.Latency = time.Duration(float64(w.Latency) * (factor + (1-factor)*passed))
	case "deployment":
		if step := g.Down + g.Gap; int((now-g.from)/step) == instance && (now-g.from)%step < g.Down {
			w.fail(1, breaker.Connect)
		}
	case "bad_requests":
		w.badRequest = max(w.badRequest, share)
	case "cancels":
		w.cancel = max(w.cancel, share)
	case "family":
		g.live(w, now, instance, from)
	}
}

func (w *weather) fail(share float64, as breaker.Kind) {
	if share >= w.Fail {
		w.Fail, w.as = share, as
	}
}

// live takes over what an episode says, its latency and capacity in relation to
// its own calm.
func (g *going) live(w *weather, now time.Duration, instance int, from *replica) {
	e := g.episode
	x := e.At(now-g.from, from.number, len(from.service.replicas), instance%e.Instances)
	w.fail(x.Fail, g.as)
	w.Hang = max(w.Hang, x.Hang)
	w.Delay = max(w.Delay, x.Delay)
	w.Latency = time.Duration(float64(w.Latency) * float64(x.Latency) / float64(e.Calm.Latency))
	if e.Calm.Capacity > 0 {
		w.Capacity *= x.Capacity / e.Calm.Capacity
	}
}
