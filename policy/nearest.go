package policy

import (
	"fmt"
	"strings"
)

// elsewhere is what other breakers call a field.
var elsewhere = map[string]string{
	"slidingwindowsize":              "windowSize",
	"slidingwindowtype":              "windowSize",
	"consecutive5xx":                 "consecutiveFailures",
	"consecutivegatewayfailure":      "consecutiveFailures",
	"maxfailures":                    "consecutiveFailures",
	"baseejectiontime":               "waitDurationInOpenState",
	"maxejectiontime":                "maxWaitDurationInOpenState",
	"maxrequests":                    "maxConcurrentCalls",
	"requestvolumethreshold":         "minimumNumberOfCalls",
	"minimumthroughput":              "minimumNumberOfCalls",
	"errorthresholdpercentage":       "failureRateThreshold",
	"failureratio":                   "failureRateThreshold",
	"sleepwindow":                    "waitDurationInOpenState",
	"breakduration":                  "waitDurationInOpenState",
	"samplingduration":               "windowDuration",
	"timeout":                        "callTimeout",
	"permittednumberofcallshalfopen": "permittedNumberOfCallsInHalfOpenState",
}

// nearest suggests the word that was probably meant; with none near, it says what
// there is.
func nearest(name string, known []string) string {
	plain := strings.ToLower(strings.NewReplacer("_", "", "-", "").Replace(name))
	best, distance := "", 1+len(plain)/4
	for _, k := range known {
		l := strings.ToLower(k)
		if len(plain) > 4 && (strings.HasPrefix(l, plain) || strings.HasSuffix(l, plain)) {
			return fmt.Sprintf("did you mean %s?", k)
		}
		if n := edits(plain, l); n < distance || n == 0 {
			best, distance = k, n
		}
		if elsewhere[plain] == k {
			return fmt.Sprintf("did you mean %s?", k)
		}
	}
	switch {
	case best != "":
		return fmt.Sprintf("did you mean %s?", best)
	case len(known) > 8:
		return fmt.Sprintf("none of the %d that there are is like it", len(known))
	}
	return "want " + strings.Join(known[:len(known)-1], ", ") + " or " + known[len(known)-1]
}

// edits is how many letters must be put in, left out or changed to make b of a
// (Levenshtein 1966); names that are no names are not compared.
func edits(a, b string) int {
	if len(a) > 64 {
		return len(a)
	}
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
