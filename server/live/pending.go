package live

// What waits for the parts of a daemon that are not built yet.
var rootCause = chapter{8, []part{{rows: []promise{
	{measure: "incidents within 10 s", op: "=", promised: 1, pending: "incidents"},
}}}}
