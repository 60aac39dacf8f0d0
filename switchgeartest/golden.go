// Package switchgeartest is for the tests of those who use switchgear, or port
// it.
//
// NewControl is a control plane in the test's own process, Record keeps a
// manager's events, and Turn turns the clock of a synctest bubble, in which a
// manager lives as anywhere else.
//
// Run plays the golden logs of a breaker's behaviour, scripts with all that has
// to come of them in readable text, on any implementation, so that a port of the
// engine can show that it is one.
package switchgeartest

import (
	"embed"
	"io/fs"
	"strings"
	"testing"
	"time"

	"github.com/datapunk/switchgear/breaker"
)

//go:embed golden/*.txt
var golden embed.FS

// Breaker is what an implementation has to offer to be played on.
type Breaker interface {
	// Acquire's error, if any, is a *breaker.NotPermittedError.
	Acquire() (Permit, error)
	View() breaker.View
	Update(*breaker.Settings)
	SetMode(m breaker.Mode, why string)
	ClearMode()
	Direct(breaker.Direction)
	Grant(token uint64, until time.Duration)
	Expire(now time.Duration)
	Snapshot() breaker.Snapshot
	Restore(breaker.Snapshot)
}

// Permit is the right to make one call.
type Permit interface {
	Done(breaker.Outcome) (counted bool)
	Release()
	Shadow() bool
}

// Hooks are where an implementation tells of transitions and answered grants.
type Hooks struct {
	Changed  func(breaker.Transition)
	Answered func(token uint64, used bool, o breaker.Outcome)
}

// New makes a closed breaker on a clock that the script advances. Waits have no
// jitter and shares begin with a permitted call, so that no script depends on a
// source of random numbers.
type New func(s *breaker.Settings, clock *breaker.Clock, h Hooks) Breaker

// Run plays every golden log as a subtest of its name.
func Run(t *testing.T, n New) {
	t.Helper()
	for name, want := range Logs() {
		t.Run(name, func(t *testing.T) {
			got, err := Play(n, want)
			if err != nil {
				t.Fatal(err)
			}
			if got != want {
				t.Errorf("%s", difference(got, want))
			}
		})
	}
}

// Logs are the golden logs by name.
func Logs() map[string]string {
	logs := make(map[string]string)
	names, err := fs.Glob(golden, "golden/*.txt")
	if err != nil {
		panic(err) // a pattern that was compiled in
	}
	for _, name := range names {
		text, err := golden.ReadFile(name)
		if err != nil {
			panic(err)
		}
		logs[strings.TrimSuffix(strings.TrimPrefix(name, "golden/"), ".txt")] = string(text)
	}
	return logs
}

// difference shows the first line that differs, after what led to it.
func difference(got, want string) string {
	g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range max(len(g), len(w)) {
		if i >= len(g) || i >= len(w) || g[i] != w[i] {
			at := func(x []string) string {
				if i < len(x) {
					return x[i]
				}
				return "(nothing more)"
			}
			return strings.Join(g[:min(i, len(g))], "\n") + "\n got: " + at(g) + "\nwant: " + at(w)
		}
	}
	return "no difference"
}
