package scenario

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"github.com/datapunk/switchgear/breaker"
	"github.com/datapunk/switchgear/internal/control"
	"github.com/datapunk/switchgear/internal/fleet"
	"github.com/datapunk/switchgear/internal/sim"
	"github.com/datapunk/switchgear/policy"
)

// Entry is one line of the timeline.
type Entry struct {
	Seconds float64 `json:"seconds"`
	What    string  `json:"what"` // fault, transition or directive
	Where   string  `json:"where"`
	Text    string  `json:"text"`
}

// maxEntries bounds a timeline; more are counted.
const maxEntries = 20_000

// together is for how long the same transition of other replicas is told in one
// line.
const together = time.Second

// timeline is what happened, in order.
type timeline struct {
	entries []Entry
	more    int
	groups  map[move]*group
	open    []*group
	said    map[voice]string
}

// move is a transition that many replicas make.
type move struct {
	circuit  policy.Circuit
	instance string
	from, to breaker.State
}

// group is the same move of several replicas.
type group struct {
	move
	entry       int
	first, last time.Duration
	n           int
	who, why    string
}

// voice is whom control speaks to, about what.
type voice struct {
	circuit policy.Circuit
	replica string
}

func (l *timeline) add(at time.Duration, what, where, text string) (entry int) {
	if len(l.entries) >= maxEntries {
		l.more++
		return -1
	}
	l.entries = append(l.entries, Entry{at.Round(time.Millisecond).Seconds(), what, where, text})
	return len(l.entries) - 1
}

// changed tells of a transition, together with others like it.
func (l *timeline) changed(now time.Duration, replica string, x sim.Change) {
	if x.From == x.To {
		return
	}
	if l.groups == nil {
		l.groups = make(map[move]*group)
	}
	m := move{x.Circuit, x.Instance, x.From, x.To}
	g := l.groups[m]
	if g == nil || now-g.first > together {
		g = &group{move: m, first: now, who: replica, why: x.Why}
		g.entry = l.add(now, "transition", where(x.Circuit, x.Instance), "")
		l.groups[m] = g
		if g.entry >= 0 {
			l.open = append(l.open, g)
		}
	}
	g.last = now
	g.n++
}

// directive tells of a word that says something new. A share that climbs is no
// news, nor is a lease.
func (l *timeline) directive(now time.Duration, out *control.Output) {
	d := &out.Directive
	news := fmt.Sprint(d.State, d.Phase)
	for _, p := range d.Parts {
		news += fmt.Sprint(" ", p.Instance, p.State, p.Phase)
	}
	if l.said == nil {
		l.said = make(map[voice]string)
	}
	v, all := voice{d.Circuit, out.To.Name}, voice{d.Circuit, ""}
	before := cmp.Or(l.said[v], l.said[all], fmt.Sprint(breaker.Closed))
	l.said[v] = news
	to := out.To.Name
	if v == all {
		to = "all"
		for other := range l.said {
			if other.circuit == d.Circuit && other != all {
				delete(l.said, other)
			}
		}
	}
	if before == news {
		return
	}
	text := "to " + to + ": " + gate(&d.Gate)
	for i := range d.Parts {
		text += "; @" + d.Parts[i].Instance + " " + gate(&d.Parts[i].Gate)
	}
	l.add(now, "directive", where(d.Circuit, ""), text)
}

func gate(g *fleet.Gate) string {
	text := g.State.String()
	if g.Phase != "" {
		text += " (" + g.Phase + ")"
	}
	if g.Reason != "" {
		text += ": " + g.Reason
	}
	return text
}

// finish writes the lines of what many did.
func (l *timeline) finish(breakers func(policy.Circuit) int) {
	for _, g := range l.open {
		e := &l.entries[g.entry]
		e.Text = fmt.Sprintf("%s → %s at %s: %s", g.from, g.to, g.who, g.why)
		if n := breakers(g.circuit); g.n > 1 {
			e.Text = fmt.Sprintf("%s → %s at %d of %d replicas within %.2f s, first %s: %s", g.from, g.to, g.n, n, (g.last - g.first).Seconds(), g.who, g.why)
		}
	}
}

func where(c policy.Circuit, instance string) string {
	if instance != "" {
		return c.String() + "@" + instance
	}
	return c.String()
}

// where a fault is, in words.
func (f *Fault) where() string {
	switch kindNamed(f.Kind).where {
	case atDaemon:
		return "daemon"
	case atLink:
		return "link"
	}
	return cmp.Or(f.Service, "replicas")
}

// String says what a fault is, in words.
func (f *Fault) String() string {
	parts := []string{kindNamed(f.Kind).about}
	add := func(name, value string, said bool) {
		if said {
			parts = append(parts, name+" "+value)
		}
	}
	list := func(name string, l []string) { add(name, strings.Join(l, ", "), len(l) > 0) }
	list("instances", f.Instances)
	list("routes", f.Routes)
	list("callers", f.Callers)
	list("replicas", f.Replicas)
	add("percent", fmt.Sprint(f.percent()), f.percent() != 0 && f.percent() != 100)
	add("as", f.As, f.As != "")
	add("latency", f.Latency.String(), f.Latency != 0)
	add("factor", fmt.Sprint(f.Factor), f.Factor != 0)
	add("period", f.Period.String(), f.Period != 0)
	add("down", f.Down.String(), f.Down != 0)
	add("gap", f.Gap.String(), f.Gap != 0)
	add("retries", fmt.Sprint(f.Retries), f.Retries != 0)
	add("delay", f.Delay.String(), f.Delay != 0)
	add("jitter", f.Jitter.String(), f.Jitter != 0)
	add("family", f.Family, f.Family != "")
	return f.Kind + ": " + strings.Join(parts, "; ")
}
