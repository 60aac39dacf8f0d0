package breaker

import "fmt"

// State is what a breaker has calculated from its evidence, or was told by the
// fleet. What is done with it is the [Mode]'s business.
type State uint8

const (
	Closed   State = iota // calls pass; the window judges them
	Open                  // calls are rejected until the wait is over or a lease arrives
	HalfOpen              // a counted few calls pass and decide
)

var stateNames = [...]string{Closed: "closed", Open: "open", HalfOpen: "half_open"}

func (s State) String() string { return name(stateNames[:], int(s)) }

// MarshalText gives the state's word, as in policies, logs and metrics.
func (s State) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads what MarshalText wrote; any other word is an error.
func (s *State) UnmarshalText(text []byte) error {
	i, err := index("state", stateNames[:], string(text))
	*s = State(i)
	return err
}

// Mode is what a breaker does with its state.
type Mode uint8

const (
	Enforce     Mode = iota // reject what the state rejects
	MetricsOnly             // reject nothing; tag what would have been rejected as shadow
	Off                     // reject nothing, judge nothing
	ForcedOpen              // reject everything; the state stands still
)

var modeNames = [...]string{Enforce: "enforce", MetricsOnly: "metrics_only", Off: "off", ForcedOpen: "forced_open"}

func (m Mode) String() string { return name(modeNames[:], int(m)) }

// MarshalText gives the mode's word, as in policies, logs and metrics.
func (m Mode) MarshalText() ([]byte, error) { return []byte(m.String()), nil }

// UnmarshalText reads what MarshalText wrote; any other word is an error.
func (m *Mode) UnmarshalText(text []byte) error {
	i, err := index("mode", modeNames[:], string(text))
	*m = Mode(i)
	return err
}

func name(names []string, i int) string {
	if i < len(names) {
		return names[i]
	}
	return fmt.Sprintf("unknown(%d)", i)
}

func index(what string, names []string, text string) (int, error) {
	for i, n := range names {
		if n == text {
			return i, nil
		}
	}
	return 0, fmt.Errorf("unknown %s %q: want one of %v", what, text, names)
}
