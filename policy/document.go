package policy

import "fmt"

// APIVersion and Kind of the documents that Decode reads.
const (
	APIVersion = "switchgear/v1"
	Kind       = "CircuitPolicy"
)

// Of what is read at once: beyond these it is refused, whatever it says.
const (
	MaxPolicies = 10_000
	maxLabels   = 32
	maxHosts    = 256
)

// Policy selects circuits and sets fields for them.
type Policy struct {
	Name, Namespace string
	Labels          map[string]string // of the document, for people
	Selector        Selector
	Priority        int // among policies that select as exactly, the greater wins
	Preset          string
	Hosts           []string // that lead to the selected callee
	File            string   // where it stands
	Line            int

	settings []setting // the preset's, then its own
	hosts    []hostPattern
}

// setting is one value that a policy gives.
type setting struct {
	given
	line   int
	preset bool
}

// own is the place among settings of a value that the policy itself gives, -1 if
// it gives none.
func (p *Policy) own(field int) int {
	for i := range p.settings {
		if p.settings[i].field == field && !p.settings[i].preset {
			return i
		}
	}
	return -1
}

// Title is the policy's name with its namespace, if it has one.
func (p *Policy) Title() string {
	if p.Namespace == "" {
		return p.Name
	}
	return p.Namespace + "/" + p.Name
}

// Selector says which circuits a policy is for. Each is a name, a glob, or empty
// for all; labels are those of the calling process.
type Selector struct {
	Namespace, Caller, Callee, Route string
	Labels                           map[string]string
}

// Source is one document, or a list of them, and the file in which it stands.
type Source struct {
	File string
	Node *Node
}

// Decode reads one policy or a list of them from JSON. It reports all that is
// wrong at once, as *Problems; then nothing is set.
func Decode(data []byte) (*Set, error) {
	root, err := ParseJSON(data)
	if err != nil {
		return nil, err
	}
	return DecodeNode(root)
}

// DecodeNode reads policies from a tree of nodes.
func DecodeNode(root *Node) (*Set, error) { return DecodeSources(Source{Node: root}) }

// DecodeSources reads the policies of several documents as one set: names are
// unique among all of them.
func DecodeSources(sources ...Source) (*Set, error) {
	d := decoder{names: make(map[string]*Policy)}
	var policies []*Policy
	for _, src := range sources {
		d.file = src.File
		items, list := src.Node.Value.([]*Node)
		if !list {
			policies = append(policies, d.policy("", src.Node))
			continue
		}
		if len(policies)+len(items) > MaxPolicies {
			d.problems.add(Problem{File: src.File, Line: src.Node.Line, Reason: fmt.Sprintf("%d policies: at most %d", len(policies)+len(items), MaxPolicies)})
			break
		}
		for i, item := range items {
			policies = append(policies, d.policy(fmt.Sprintf("[%d]", i), item))
		}
	}
	if err := d.problems.err(); err != nil {
		return nil, err
	}
	return newSet(policies, Environment{}), nil
}
