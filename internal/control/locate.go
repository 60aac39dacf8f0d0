package control

// locate names the smallest parts of a callee that explain its failures, best
// first, at most three; none where the evidence does not say: then the opener has
// to do with the circuit as a whole, or wait. It names targets; it never opens.
//
// It is a Bayesian subset scan. Evidence are cells: first attempts and failures
// by replica (with its caller), instance and route. Each part that is one label
// of a kind, a pair of them, a set of instances, or a set of replicas on a set of
// instances is scored by how well one extra failure probability there, of unknown
// strength, explains the window better than what is normal on these routes, with
// a prior by how complex the part is and how many such parts there are. That is
// the spatial scan of Neill, Moore and Cooper ("A Bayesian spatial scan
// statistic", NIPS 2005) over labels instead of rectangles; the sets come from
// Neill's linear-time subset scan ("Fast subset scan for spatial pattern
// detection", J. R. Stat. Soc. B 74, 2012): what speaks for a set is the sum of
// what speaks for its members, so the best set of any size is that of all who
// speak for it. Sets on sets take turns until neither changes (Neill, McFowland
// and Zheng, "Fast subset scan for multivariate event detection", 2013).
//
// Retries are left out, since they fail together. Normal is twice what the route
// has failed in the past, not less than 1 % (locate_normal.go), and as much more as
// all that is outside the parts fails (rest). Windows are nested: a fresh fault is
// not to be outweighed by the good calls before it.
//
// docs/evaluation.md has what it reaches. It is not told of zones and racks; it
// can't tell parts that hold the same calls, nor those that too few calls went
// into: then nothing is named, and the best guess is a suspicion.
func (m *Mind) locate(ce *callee) []finding {
	if m.cfg.Without.Locate {
		return nil
	}
	return m.look(ce).named
}

// Of locate. docs/evaluation.md says what they reach.
const (
	suspectScore   = 3  // nats from which a part is suspected, but not named
	nameOwnScore   = 6  // from which one replica's own part is named
	nameScore      = 8  // an instance, route, pair or set
	nameWideScore  = 10 // a caller or the whole callee
	fewFailures    = 5  // a call that failed and was tried three times more is no part
	besides        = 3  // less where another part is named: that something is wrong is known then
	sureGap        = 1.6
	nestingPenalty = 1.6094379124341003 // ln 5: the best of five windows

	maxFindings = 3
	beamWidth   = 4
	beamShare   = 0.3 // of the best score, below which no other first part is tried
	restTrigger = 1.2
	restCap     = 5
)

// spans of the nested windows, in seconds.
var spans = [...]int{16, 8, 4, 2, 1}

// verdict is what a look at a callee shows.
type verdict struct {
	named   []finding
	suspect *finding // the best guess where nothing is named: not enough evidence
}

// look gathers a callee's evidence and judges it. Where nothing has failed this
// costs nothing but to see that.
func (m *Mind) look(ce *callee) verdict {
	v := judgeEvidence(m.evidence(ce))
	if len(v.named) > 0 {
		ce.past.drop(m.now)
	}
	return v
}

func judgeEvidence(ev *evidence) verdict {
	if !ev.failing() {
		return verdict{}
	}
	s := newScanner(ev)
	var best explanation
	for span := range spans {
		if !s.use(span) {
			break // nothing has failed since: nor later
		}
		if e := s.explain(); e.total > best.total {
			best = e
		}
	}
	return s.verdict(&best)
}

// explanation is a set of parts that together explain a window.
type explanation struct {
	span  int
	rest  float64 // how much more than normal everything else fails
	parts []candidate
	total float64
}

// explain finds the parts that explain the window in use; where the rest fails
// more than normal too, all is judged again by that.
func (s *scanner) explain() explanation {
	e := s.search()
	if len(e.parts) > 0 {
		if rest := s.restOf(e.parts); rest > restTrigger {
			s.raise(rest)
			e = s.search()
		}
	}
	e.span, e.rest = s.span, s.rest
	return e
}

// search tries each of the best first parts, sets its cells aside and looks
// again, and keeps what explains most together. Taking just the best first part
// would take for one wide fault what are two narrow ones.
func (s *scanner) search() (best explanation) {
	clear(s.taken)
	first := s.scan()
	if len(first) == 0 || first[0].score < suspectScore {
		return best
	}
	for i := range first[:min(len(first), beamWidth)] {
		if first[i].score < suspectScore || first[i].score < beamShare*first[0].score {
			break
		}
		clear(s.taken)
		parts := []candidate{first[i]}
		total := first[i].score
		for len(parts) < maxFindings {
			s.take(&parts[len(parts)-1].place)
			next := s.scan()
			if len(next) == 0 || next[0].score < suspectScore+nestingPenalty {
				break
			}
			parts = append(parts, next[0])
			total += next[0].score
		}
		if total > best.total {
			best = explanation{parts: parts, total: total}
		}
	}
	return best
}

// restOf is how much more than normal fails outside the parts.
func (s *scanner) restOf(parts []candidate) float64 {
	failed, expected := 2.0, 2.0
	for i := range s.ids {
		if !inAny(parts, s.ids[i]) {
			failed += s.seen[i].k
			expected += s.seen[i].n * s.null[s.ids[i][byRoute]] / tolerance
		}
	}
	return min(restCap, failed/expected)
}

func inAny(parts []candidate, ids labelIDs) bool {
	for i := range parts {
		if parts[i].place.holds(ids) {
			return true
		}
	}
	return false
}

// verdict names what is beyond doubt.
func (s *scanner) verdict(e *explanation) (v verdict) {
	if len(e.parts) == 0 {
		return v
	}
	s.use(e.span)
	s.raise(e.rest)
	s.gaps(e)
	s.refine(e)
	kept := e.parts[:0]
	for _, c := range e.parts {
		need := c.place.need()
		if len(kept) > 0 {
			need -= besides
		}
		if c.score-nestingPenalty >= need && s.failures(&c.place) >= fewFailures {
			kept = append(kept, c)
		}
	}
	if len(kept) > 0 {
		e.parts = kept
		for i := range kept {
			v.named = append(v.named, s.finding(e, i))
		}
	} else if e.parts[0].score-nestingPenalty >= suspectScore {
		e.parts = e.parts[:1]
		f := s.finding(e, 0)
		v.suspect = &f
	}
	return v
}

// failures inside a place.
func (s *scanner) failures(p *place) float64 {
	sum := s.sum(p, func(int) bool { return false })
	return sum.k
}

// gaps finds for each part what would be next best in its stead.
func (s *scanner) gaps(e *explanation) {
	for i := range e.parts {
		clear(s.taken)
		for j := range e.parts {
			if j != i {
				s.take(&e.parts[j].place)
			}
		}
		c := &e.parts[i]
		c.gap = c.score // where nothing else speaks: to nothing at all
		for _, other := range s.scan() {
			if !s.same(&other.place, &c.place) {
				c.gap, c.next, c.rival = max(0, c.score-other.score), other.place, true
				break
			}
		}
	}
}
