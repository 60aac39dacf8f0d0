package control

import (
	"cmp"
	"fmt"
	"math"
	"strings"
)

// finding is a part of a callee that explains its failures: the labels that are
// set. All empty is the whole callee.
type finding struct {
	instance, route, caller, replica string
	set                              *nameSet // of instances, instead of one
	replicas                         *nameSet // of replicas, instead of one

	side  side
	score float64 // log odds against "nothing is wrong here", prior included
	gap   float64 // to the next best part: over 7 is nearly certain, under 1.6 is "one of"
	why   string
}

// side says who is sick.
type side string

const (
	calleeSick   side = "callee"         // its own calls fail, whoever makes them
	pathSick     side = "path"           // what lies between
	callerSick   side = "caller"         // whom it calls does not matter, or what it asks for is wrong
	callerOrPath side = "caller or path" // one of them sees it, and nothing else of it is known
)

// instances are those whose gates, shut for all replicas of a caller, hold what
// the finding blames; none where that would take from replicas, or from the
// callers that it does not blame, what is well for them. exactly is false where
// the gates would hold more: all routes of an instance instead of one.
func (f *finding) instances(caller string) (names []string, exactly bool) {
	switch {
	case f.replica != "" || f.replicas != nil || f.caller != "" && f.caller != caller:
		return nil, false
	case f.instance != "":
		return []string{f.instance}, f.route == ""
	case f.set != nil:
		return f.set.names, f.route == ""
	}
	return nil, false
}

func (f *finding) String() string {
	var parts []string
	for _, p := range []struct{ what, name string }{{"instance", f.instance}, {"route", f.route}, {"caller", f.caller}, {"replica", f.replica}} {
		if p.name != "" {
			parts = append(parts, p.what+" "+p.name)
		}
	}
	if f.set != nil {
		parts = append(parts, "instances "+f.set.String())
	}
	if f.replicas != nil {
		parts = append(parts, "replicas "+f.replicas.String())
	}
	return cmp.Or(strings.Join(parts, ", "), "the whole callee")
}

// words of a finding: "calls from replica r1 to instance i7 on route /pay".
func (f *finding) words() string {
	w := "calls"
	add := func(what, name string) {
		if name != "" {
			w += what + name
		}
	}
	add(" from caller ", f.caller)
	add(" from replica ", f.replica)
	if f.replicas != nil {
		add(" from replicas ", f.replicas.String())
	}
	add(" to instance ", f.instance)
	if f.set != nil {
		add(" to instances ", f.set.String())
	}
	add(" on route ", f.route)
	return w
}

// labelled gives a place its names.
func (s *scanner) labelled(p *place) finding {
	var f finding
	for kind, to := range [labelKinds]*string{byInstance: &f.instance, byRoute: &f.route, byCaller: &f.caller, byReplica: &f.replica} {
		if p.has(kind) {
			*to = s.labels[kind][p.at[kind]]
		}
	}
	f.set, f.replicas = s.nameSet(byInstance, p.instances), s.nameSet(byReplica, p.replicas)
	return f
}

func (s *scanner) nameSet(kind int, set []bool) *nameSet {
	if set == nil {
		return nil
	}
	var n nameSet
	for id, in := range set {
		if in {
			n.names = append(n.names, s.labels[kind][id])
		}
	}
	return &n
}

// finding puts the i-th part of an explanation in words and numbers. Numbers are
// calls as they were, not as weighed: what a person can count.
func (s *scanner) finding(e *explanation, i int) finding {
	c := &e.parts[i]
	f := s.labelled(&c.place)
	f.score, f.gap = c.score-nestingPenalty, c.gap

	var in, others, rest count
	normal := 0.0
	present, failing := make([]bool, len(s.labels[byReplica])), make([]bool, len(s.labels[byReplica]))
	for x := range s.ids {
		seen := s.ev.cells[x].seen[s.span]
		switch r := s.ids[x][byReplica]; {
		case c.place.holds(s.ids[x]):
			in.add(seen)
			normal += seen.n * s.norm[s.ids[x][byRoute]] / tolerance
			present[r] = present[r] || seen.n > 0
			failing[r] = failing[r] || seen.k > 0
		case inAny(e.parts, s.ids[x]):
			others.add(seen)
		default:
			rest.add(seen)
		}
	}
	var why strings.Builder
	fmt.Fprintf(&why, "%.0f of %.0f %s failed in the last %d s (normal %.2g %%), seen by %d of %d replicas; ",
		in.k, in.n, f.words(), spans[s.span], 100*normal/max(in.n, 1), size(failing), size(present))
	if len(e.parts) > 1 {
		fmt.Fprintf(&why, "other bad parts %.0f of %.0f; ", others.k, others.n)
	}
	fmt.Fprintf(&why, "everything else %.0f of %.0f", rest.k, rest.n)
	f.side = s.sideOf(&c.place, &why)
	if c.rival {
		next := s.labelled(&c.next)
		if c.gap < sureGap {
			fmt.Fprintf(&why, "; it may as well be %s, %s less likely", next.String(), odds(c.gap))
		} else {
			fmt.Fprintf(&why, "; next best %s, %s less likely", next.String(), odds(c.gap))
		}
	}
	f.why = why.String()
	return f
}

// odds of a gap in nats.
func odds(gap float64) string {
	x := math.Exp(gap)
	switch {
	case x > 1000:
		return "over 1,000 : 1"
	case x < 10:
		return fmt.Sprintf("%.1f : 1", x)
	}
	return fmt.Sprintf("%.0f : 1", x)
}

// sideOf tells who is sick, and says by what.
func (s *scanner) sideOf(p *place, why *strings.Builder) side {
	var at sickness
	switch {
	case p.has(byReplica):
		at = s.elsewhere[byReplica][p.at[byReplica]]
	case p.has(byCaller):
		at = s.elsewhere[byCaller][p.at[byCaller]]
	case p.replicas != nil:
		return pathSick
	default:
		return calleeSick
	}
	switch {
	case p.has(byInstance) || p.instances != nil:
		return pathSick
	case p.has(byRoute):
		return callerSick
	case at.score >= surelySick:
		fmt.Fprintf(why, "; its calls to others fail too, %.0f of %.0f: the caller is sick", at.k, at.n)
		return callerSick
	case at.score <= mostWell:
		fmt.Fprintf(why, "; its calls to others are no worse than other callers', %.0f of %.0f failed: its way here is sick", at.k, at.n)
		return pathSick
	}
	return callerOrPath
}
