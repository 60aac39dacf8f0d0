package story

import (
	"fmt"

	"github.com/datapunk/switchgear/policy"
)

// own is switchgear among the contenders.
const own = "switchgear"

// contender is who decides in a play.
type contender struct {
	name    string
	daemons int
	rules   string // a policy's fields, in the place of the story's own
	// unmarked knows nothing of inherited failures.
	unmarked bool
}

// The peers: the same policy without a control plane, and the rules of two
// libraries at their defaults, re-stated on this project's breaker.
var contenders = []contender{
	{name: own, daemons: 1},
	{name: "local"},
	// Open after more than 5 failures in a row, for 60 s; then one call decides.
	{name: "gobreaker", unmarked: true, rules: `"consecutiveFailures": 6, "wait": "fixed", "waitDurationInOpenState": "60s",
		"permittedNumberOfCallsInHalfOpenState": 1`},
	// Half of the last 100 calls, none before there are 100; open for 60 s; 10 calls decide.
	{name: "resilience4j", unmarked: true, rules: `"windowSize": 100, "minimumNumberOfCalls": 100, "failureRateThreshold": 50,
		"wait": "fixed", "waitDurationInOpenState": "60s", "permittedNumberOfCallsInHalfOpenState": 10`},
}

// Peers are their names, in the order of tables.
func Peers() (names []string) {
	for _, c := range contenders[1:] {
		names = append(names, c.name)
	}
	return names
}

// policies of one for all circuits, with these fields.
func policies(name, fields string) (*policy.Set, error) {
	if fields == "" {
		return nil, nil //nolint:nilnil // no policy is the defaults
	}
	return policy.Decode(fmt.Appendf(nil, `{"apiVersion": "switchgear/v1", "kind": "CircuitPolicy", "metadata": {"name": %q}, "spec": {"selector": {}, %s}}`, name, fields))
}
