package api

import (
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/datapunk/switchgear/internal/control"
	"github.com/datapunk/switchgear/policy"
)

// Snapshot is what control knew at one instant. It is immutable, and for any
// number of readers.
type Snapshot struct {
	At       time.Time
	Circuits []control.CircuitView // by name
	names    []string              // text form of each
}

// NewSnapshot takes over views.
func NewSnapshot(at time.Time, views []control.CircuitView) *Snapshot {
	s := &Snapshot{At: at, Circuits: views, names: make([]string, len(views))}
	for i := range views {
		s.names[i] = views[i].Circuit.String()
	}
	sort.Sort((*byName)(s))
	return s
}

type byName Snapshot

func (s *byName) Len() int           { return len(s.names) }
func (s *byName) Less(i, j int) bool { return s.names[i] < s.names[j] }
func (s *byName) Swap(i, j int) {
	s.names[i], s.names[j] = s.names[j], s.names[i]
	s.Circuits[i], s.Circuits[j] = s.Circuits[j], s.Circuits[i]
}

// matcher reports whether a circuit's text form begins with what a person wrote:
// names without a namespace are in the default one.
func matcher(prefix string) func(name string) bool {
	full := complete(prefix)
	return func(name string) bool { return strings.HasPrefix(name, prefix) || strings.HasPrefix(name, full) }
}

// complete adds the default namespace where a text form leaves it out.
func complete(text string) string {
	caller, callee, edge := strings.Cut(text, "..")
	add := func(service string) string {
		if service == "" || strings.Contains(service, "/") {
			return service
		}
		return policy.DefaultNamespace + "/" + service
	}
	if !edge {
		return add(caller)
	}
	service, route, hasRoute := strings.Cut(callee, "#")
	out := add(caller) + ".." + add(service)
	if hasRoute {
		out += "#" + route
	}
	return out
}

// find gives the circuit that text names, or all whose names begin with it.
func (s *Snapshot) find(text string) []int {
	full := complete(text)
	match := matcher(text)
	var found []int
	for i, n := range s.names {
		if n == full || n == text {
			return []int{i}
		}
		if match(n) {
			found = append(found, i)
		}
	}
	return found
}

// at gives the circuit of a full text form, nil if there is none.
func (s *Snapshot) at(name string) *control.CircuitView {
	if i, found := slices.BinarySearch(s.names, name); found {
		return &s.Circuits[i]
	}
	return nil
}

// nearest gives up to n names that a person may have meant.
func (s *Snapshot) nearest(text string, n int) []string {
	type near struct {
		name string
		far  int
	}
	full := complete(cut(text, maxCompared))
	var all []near
	for _, name := range s.names {
		far := distance(full, cut(name, maxCompared))
		if far <= max(3, len(full)/3) || strings.Contains(name, text) {
			all = append(all, near{name, far})
		}
	}
	sort.SliceStable(all, func(i, j int) bool { return all[i].far < all[j].far })
	var out []string
	for _, x := range all[:min(n, len(all))] {
		out = append(out, x.name)
	}
	return out
}

// maxCompared bounds the work of one comparison.
const maxCompared = 128

func cut(s string, n int) string { return s[:min(n, len(s))] }

// distance is how many bytes to add, leave out or change (Levenshtein).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, diagonal+1)
		}
	}
	return row[len(b)]
}
