package outbound

import (
	"strconv"

	"github.com/datapunk/switchgear/internal/cause"
	"github.com/datapunk/switchgear/policy"
)

// maxOrigin bounds the text of a mark's circuit.
const maxOrigin = 1024

// Mark reads what a callee's reply says of its failure's origin. What is too
// long, names no circuit or has come too far is no mark: the failure is then the
// callee's own.
func Mark(circuit, hops string) (o cause.Origin, ok bool) {
	n, err := strconv.Atoi(hops)
	if err != nil || n < 1 || n > cause.MaxHops || len(circuit) > maxOrigin {
		return o, false
	}
	if _, err := policy.ParseCircuit(circuit); err != nil {
		return o, false
	}
	return cause.Origin{Circuit: circuit, Kind: "inherited", Hops: n}, true
}
