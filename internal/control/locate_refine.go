package control

// oneObserver is the share of the failing weight that makes a part that
// observer's own.
const oneObserver = 0.9

// refine puts the parts of an explanation right: a part that hardly anybody else
// sees failing becomes that observer's own, and what another part holds is
// dropped. So a pair whose parent fails too becomes the parent, since the rest of
// the parent has been found as a second part.
func (s *scanner) refine(e *explanation) {
	for i := range e.parts {
		s.narrow(&e.parts[i].place)
	}
	var kept []candidate
	for i := range e.parts {
		swallowed := false
		for j := range e.parts {
			if i == j || !s.within(&e.parts[i].place, &e.parts[j].place) {
				continue
			}
			swallowed = swallowed || j < i || !s.within(&e.parts[j].place, &e.parts[i].place)
		}
		if !swallowed {
			kept = append(kept, e.parts[i])
		}
	}
	e.parts = kept
}

// within reports whether b holds all that a does.
func (s *scanner) within(a, b *place) bool {
	for i := range s.ids {
		if s.seen[i].n > 0 && a.holds(s.ids[i]) && !b.holds(s.ids[i]) {
			return false
		}
	}
	return true
}

// narrow makes a part that hardly anybody else sees failing that observer's own:
// nobody claims anything beyond itself alone.
func (s *scanner) narrow(p *place) {
	if p.has(byReplica) || len(s.labels[byReplica]) < 2 {
		return
	}
	by := make([]float64, len(s.labels[byReplica]))
	total := 0.0
	for i := range s.ids {
		if p.holds(s.ids[i]) {
			by[s.ids[i][byReplica]] += s.seen[i].k
			total += s.seen[i].k
		}
	}
	for r, k := range by {
		if k <= oneObserver*total || s.labels[byReplica][r] == "" {
			continue
		}
		rest := s.sum(p, func(i int) bool { return s.ids[i][byReplica] == int32(r) })
		if rest.thin() { // what the others see does not bear it out
			p.at[byReplica], p.at[byCaller], p.replicas = int32(r), anyLabel, nil
		}
	}
}
