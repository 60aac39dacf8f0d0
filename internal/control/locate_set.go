package control

import (
	"fmt"
	"math"
	"slices"
	"strings"
)

// Priors of sets.
const (
	setPrior  = 0.02 // a bad rollout: some instances for everybody
	pathPrior = 0.01 // a network path: some replicas to some instances
)

// memberScore is what a member must speak for a set: less would be chance.
const memberScore = math.Ln2

// pathTurns bounds how often instances and replicas of a path take turns.
const pathTurns = 4

// nameSet is a set of labels: sorted names.
type nameSet struct{ names []string }

// String tells the first of them, and how many more there are: it is for people.
func (s *nameSet) String() string {
	const few = 8
	if len(s.names) <= few {
		return strings.Join(s.names, " ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(s.names[:few-1], " "), len(s.names)-few+1)
}

// sets scores, for each strength of a fault, the set of all instances that speak
// for it: the best set of any size is among them, since instances add up (linear-
// time subset scan).
func (s *scanner) sets() (found []candidate) {
	all := len(s.labels[byInstance])
	if all < 3 {
		return nil
	}
	var tried [][]bool
	for j := range strengths {
		var sum slot
		set, m := make([]bool, all), 0
		for id := range s.parts {
			p, x := &s.parts[id], &s.slots[id]
			if shapes[p.shape].uses == [labelKinds]bool{byInstance: true} && x.forIt[j]+x.s*lost[j] > memberScore {
				set[p.place.at[byInstance]] = true
				m++
				sum.addAll(x)
			}
		}
		if m < 2 || m == all || slices.ContainsFunc(tried, func(t []bool) bool { return slices.Equal(t, set) }) {
			continue
		}
		tried = append(tried, set)
		if l := sum.likelihood(); !sum.thin() && l > 0 {
			at := everywhere()
			at.instances = set
			found = append(found, candidate{place: at, score: l + math.Log(setPrior) - ways(all, m)})
		}
	}
	return found
}

// paths scores sets of replicas on sets of instances: by turns the instances that
// speak for a fault from these replicas, and the replicas that do on these
// instances, until neither changes.
func (s *scanner) paths() (found []candidate) {
	instances, replicas := len(s.labels[byInstance]), len(s.labels[byReplica])
	if replicas < 3 {
		return nil
	}
	failing := make([]bool, replicas)
	for i := range s.ids {
		failing[s.ids[i][byReplica]] = failing[s.ids[i][byReplica]] || !s.taken[i] && s.seen[i].k > 0
	}
	speaks := make([]float64, len(s.ids))
	var tried []place
	for j := range strengths {
		for i := range s.ids {
			speaks[i] = 0
			if !s.taken[i] {
				speaks[i] = s.seen[i].k*s.gain[s.ids[i][byRoute]][j] + (s.seen[i].n-s.seen[i].k)*lost[j]
			}
		}
		at := everywhere()
		at.replicas = failing
		for range pathTurns {
			was := at
			at.instances = s.members(speaks, byInstance, byReplica, at.replicas)
			at.replicas = s.members(speaks, byReplica, byInstance, at.instances)
			if slices.Equal(was.replicas, at.replicas) && slices.Equal(was.instances, at.instances) {
				break
			}
		}
		mi, mr := size(at.instances), size(at.replicas)
		if mi < 1 || mr < 2 || mr == replicas || slices.ContainsFunc(tried, func(t place) bool {
			return slices.Equal(t.replicas, at.replicas) && slices.Equal(t.instances, at.instances)
		}) {
			continue
		}
		tried = append(tried, at)
		if mi == instances {
			at.instances = nil
		}
		sum := s.sum(&at, func(i int) bool { return s.taken[i] })
		if l := sum.likelihood(); !sum.thin() && l > 0 {
			found = append(found, candidate{place: at, score: l + math.Log(pathPrior) - ways(instances, mi) - ways(replicas, mr)})
		}
	}
	return found
}

// members are the labels of a kind that speak for a fault within a set of others.
func (s *scanner) members(speaks []float64, kind, of int, set []bool) []bool {
	sums := make([]float64, len(s.labels[kind]))
	for i := range s.ids {
		if set[s.ids[i][of]] {
			sums[s.ids[i][kind]] += speaks[i]
		}
	}
	in := make([]bool, len(sums))
	for id, sum := range sums {
		in[id] = sum > memberScore && s.labels[kind][id] != ""
	}
	return in
}

func size(set []bool) (n int) {
	for _, in := range set {
		if in {
			n++
		}
	}
	return n
}

// ways is the log of how many sets of m of n there are, of any of n sizes.
func ways(n, m int) float64 {
	all, _ := math.Lgamma(float64(n + 1))
	in, _ := math.Lgamma(float64(m + 1))
	out, _ := math.Lgamma(float64(n - m + 1))
	return all - in - out + math.Log(float64(n))
}
