package control

// Cell is what one replica saw of one route and instance in one second, first
// attempts only. Age is in seconds, 0 the newest.
type Cell struct {
	Replica, Caller, Instance, Route string
	Age                              int
	Calls, Failed                    int
}

// Finding is a part of a callee that explains its failures: the labels that are
// set. None set is the whole callee.
type Finding struct {
	Replica, Caller, Instance, Route string
	Instances                        []string // a set of them, instead of one

	Score float64 // log odds against "nothing is wrong here", in nats
	Gap   float64 // to the next best part, in nats
	Why   string
}

// Locate finds what a mind would name on these cells, best first, at most three;
// none where the evidence does not say. It is for measuring.
func Locate(cells []Cell) []Finding {
	found := nested(func(span int) []evidenceCell { return merge(cells, span) })
	named := make([]Finding, 0, len(found))
	for _, f := range found {
		var set []string
		if f.set != nil {
			set = f.set.names
		}
		named = append(named, Finding{
			Instances: set,
			Replica:   f.replica, Caller: f.caller, Instance: f.instance, Route: f.route,
			Score: f.score, Gap: f.gap, Why: f.why,
		})
	}
	return named
}

// merge sums the cells of the newest seconds.
func merge(cells []Cell, span int) []evidenceCell {
	type key struct{ replica, caller, instance, route string }
	at := make(map[key]int)
	var sums []evidenceCell
	for i := range cells {
		x := &cells[i]
		if x.Age >= span || x.Calls == 0 {
			continue
		}
		k := key{x.Replica, x.Caller, x.Instance, x.Route}
		j, known := at[k]
		if !known {
			j = len(sums)
			at[k] = j
			sums = append(sums, evidenceCell{
				replica: k.replica, caller: k.caller, instance: k.instance, route: k.route, p: 2 * healthyFloor,
			})
		}
		sums[j].n += float64(x.Calls)
		sums[j].k += float64(x.Failed)
	}
	weigh(sums)
	return sums
}
