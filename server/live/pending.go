package live

// What waits for the parts of a daemon that are not built yet.
var (
	edit = chapter{6, []part{{rows: []promise{
		{measure: "edit of an open circuit: seconds until all 20 replicas run on it", op: "<=", promised: 1, pending: "policies"},
		{measure: "edit of an open circuit: breakers whose state it changed", op: "=", promised: 0, pending: "policies"},
		{measure: "a bad one is refused with field, value and what was wanted (1 is yes)", op: "=", promised: 1, pending: "policies"},
	}}}}
	rootCause = chapter{8, []part{{rows: []promise{
		{measure: "incidents within 10 s", op: "=", promised: 1, pending: "incidents"},
	}}}}
)
