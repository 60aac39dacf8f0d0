package control

import (
	"math"
	"slices"
	"strings"
)

// instanceSet is a part of several instances, a bad rollout: sorted names.
type instanceSet struct{ names []string }

func (s *instanceSet) String() string { return "instances " + strings.Join(s.names, " ") }

func (s *instanceSet) has(name string) bool {
	_, found := slices.BinarySearch(s.names, name)
	return found
}

// setPrior is how likely a fault is to be in some set of instances.
const setPrior = 0.02

var setShape = shape{prior: setPrior, need: nameScore}

// sets scores, for each strength of a fault, the set of all instances that speak
// for it: the best set of any size is among them, since instances add up (linear-
// time subset scan).
func sets(order []*slot, n *labelCounts) []*slot {
	var found []*slot
	for f, strength := range strengths {
		sum := &slot{shape: &setShape, by: make(map[string]float64)}
		var names []string
		for _, s := range order {
			if s.instance == "" || s.route != "" || s.caller != "" || s.replica != "" ||
				s.forIt[f]+s.s*math.Log(1-strength) <= math.Ln2 {
				continue
			}
			names = append(names, s.instance)
			sum.n, sum.s, sum.k = sum.n+s.n, sum.s+s.s, sum.k+s.k
			for j := range sum.forIt {
				sum.forIt[j] += s.forIt[j]
			}
			for who, k := range s.by {
				sum.by[who] += k
			}
		}
		slices.Sort(names)
		if len(names) < 2 || len(names) == n.instances ||
			slices.ContainsFunc(found, func(s *slot) bool { return slices.Equal(s.set.names, names) }) {
			continue
		}
		sum.set = &instanceSet{names}
		found = append(found, sum)
	}
	return found
}

// ways is the log of how many sets of m of n there are, of any of n sizes.
func ways(n, m int) float64 {
	all, _ := math.Lgamma(float64(n + 1))
	in, _ := math.Lgamma(float64(m + 1))
	out, _ := math.Lgamma(float64(n - m + 1))
	return all - in - out + math.Log(float64(n))
}
