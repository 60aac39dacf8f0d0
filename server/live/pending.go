package live

// What waits for the parts of a daemon that are not built yet.
var (
	force = chapter{7, []part{{rows: []promise{
		{measure: "forced open: seconds until all 20 replicas are", op: "<=", promised: 1, pending: "policies"},
		{measure: "its end with the daemon down: seconds by which any replica comes back early or late", op: "<=", promised: 1, pending: "policies"},
		{measure: "outside the scope: denied (1 is yes)", op: "=", promised: 1, pending: "identity"},
	}}}}
	rootCause = chapter{8, []part{{rows: []promise{
		{measure: "incidents within 10 s", op: "=", promised: 1, pending: "incidents"},
	}}}}
)
