package control

// Cell is what one replica saw of one route and instance in one second, first
// attempts only. Age is in seconds, 0 the newest.
type Cell struct {
	Replica, Caller, Instance, Route string
	Age                              int
	Calls, Failed                    int
}

// Past is what a route was like before.
type Past struct {
	Route         string
	Calls, Failed float64
}

// Other is what one replica saw of another callee in the same seconds.
type Other struct {
	Replica, Callee string
	Calls, Failed   int
}

// Evidence is what a mind would look at.
type Evidence struct {
	Cells     []Cell
	Past      []Past
	Elsewhere []Other
}

// Finding is a part of a callee that explains its failures: the labels that are
// set. None set is the whole callee.
type Finding struct {
	Replica, Caller, Instance, Route string
	Instances, Replicas              []string // a set of them, instead of one

	Side  string  // who is sick: "callee", "path", "caller" or "caller or path"
	Score float64 // log odds against "nothing is wrong here", in nats
	Gap   float64 // to the next best part, in nats
	Why   string
}

// Locate finds what a mind would name on this evidence, best first, at most
// three; none where it does not say: then suspected is the best guess, if there
// is one. It is for measuring.
func Locate(e *Evidence) (named []Finding, suspected *Finding) {
	v := judgeEvidence(e.evidence())
	for i := range v.named {
		named = append(named, v.named[i].export())
	}
	if v.suspect != nil {
		f := v.suspect.export()
		suspected = &f
	}
	return named, suspected
}

func (f *finding) export() Finding {
	var instances, replicas []string
	if f.set != nil {
		instances = f.set.names
	}
	if f.replicas != nil {
		replicas = f.replicas.names
	}
	return Finding{
		Replica: f.replica, Caller: f.caller, Instance: f.instance, Route: f.route,
		Instances: instances, Replicas: replicas,
		Side: string(f.side), Score: f.score, Gap: f.gap, Why: f.why,
	}
}

func (e *Evidence) evidence() *evidence {
	ev := &evidence{past: &history{}}
	for i := range e.Cells {
		x := &e.Cells[i]
		if x.Calls <= 0 || x.Age < 0 {
			continue
		}
		cell := evidenceCell{replica: x.Replica, caller: x.Caller, instance: x.Instance, route: x.Route}
		for span, seconds := range spans {
			if x.Age < seconds {
				cell.seen[span] = count{float64(x.Calls), float64(x.Failed)}
			}
		}
		if cell.seen[0].n > 0 {
			ev.cells = append(ev.cells, cell)
		}
	}
	ev.settle()
	for _, p := range e.Past {
		ev.past.add(p.Route, count{p.Calls, p.Failed})
	}
	ev.past.turn(pastTurn)
	ev.past.turn(2 * pastTurn)
	for _, x := range e.Elsewhere {
		ev.elsewhere = append(ev.elsewhere, elsewhereCell{x.Replica, x.Callee, count{float64(x.Calls), float64(x.Failed)}})
	}
	return ev
}
