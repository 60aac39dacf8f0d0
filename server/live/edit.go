package live

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/datapunk/switchgear"
)

// edit is scenario 6: an operator changes a policy of the daemon while its circuit
// is open, with the commands that operators have.
var edit = chapter{6, []part{{
	spec: spec{callers: []callers{twenty()}, instances: 1},
	rows: []promise{
		{measure: "edit of an open circuit: seconds until all 20 replicas run on it", op: "<=", promised: 1},
		{measure: "edit of an open circuit: breakers whose state it changed", op: "=", promised: 0},
		{measure: "edit of an open circuit: breakers whose generation it changed", op: "=", promised: 0},
		{measure: "a bad one is refused with field, value and what was wanted (1 is yes)", op: "=", promised: 1},
		{measure: "a rollback is one command: seconds until all 20 replicas run on what was before", op: "<=", promised: 1},
	},
	play: editOpen,
}}}

const waits = `, "wait": "fixed", "waitDurationInOpenState": "1m", "maxWaitDurationInOpenState": "1m"`

func editOpen(ctx context.Context, m *mesh) ([]float64, error) {
	first, err := m.apply(ctx, explicit+waits)
	if err != nil {
		return nil, err
	}
	if at, err := m.allRun(ctx, 20, first, 0); err != nil || at == 0 {
		return nil, errors.Join(err, errors.New("the first policy has not reached all replicas"))
	}
	from := m.now()
	m.answers(failing)
	// Open, and all by the same word of the daemon.
	settled := func() bool {
		last := m.lastRuns(math.MaxInt64)
		for _, x := range last {
			if x.State != switchgear.Open || x.Generation == 0 {
				return false
			}
		}
		return len(last) == 20
	}
	if err := m.await(ctx, 30*time.Second, settled); err != nil {
		return nil, err
	}
	if !settled() {
		return nil, fmt.Errorf("not all are open %v after the callee fails", m.now()-from)
	}
	began := m.now()
	before := m.lastRuns(began)
	second, err := m.apply(ctx, strings.Replace(explicit, "50", "60", 1)+waits)
	if err != nil {
		return nil, err
	}
	reached, err := m.allRun(ctx, 20, second, began)
	if err != nil {
		return nil, err
	}
	state, generation := 0.0, 0.0
	for replica, x := range m.lastRuns(m.now()) {
		if x.State != before[replica].State {
			state++
		}
		if x.Generation != before[replica].Generation {
			generation++
		}
	}
	refused, err := m.refuses(ctx)
	if err != nil {
		return nil, err
	}
	back := m.now()
	if code, words, err := m.command(ctx, "policy", "rollback", "edited"); err != nil || code != 0 {
		return nil, errors.Join(err, fmt.Errorf("rollback: exit code %d: %s", code, words))
	}
	again, err := m.allRun(ctx, 20, first, back)
	return []float64{after(began, reached), state, generation, refused, after(back, again)}, err
}

// lastRuns is what each replica ran on at an instant.
func (m *mesh) lastRuns(at time.Duration) map[string]runs {
	last := make(map[string]runs)
	for _, x := range since(m, &m.runs, math.MinInt64) {
		if x.at <= at {
			last[x.replica] = x.what
		}
	}
	return last
}

// allRun is when the last of n replicas ran on a revision since an instant; 0 if
// they don't within ten seconds.
func (m *mesh) allRun(ctx context.Context, n int, revision string, from time.Duration) (at time.Duration, err error) {
	err = m.await(ctx, 10*time.Second, func() bool {
		at = 0
		seen := make(map[string]bool)
		for _, x := range since(m, &m.runs, from) {
			if x.what.Revision == revision && !seen[x.replica] {
				seen[x.replica] = true
				at = max(at, x.at)
			}
		}
		return len(seen) >= n
	})
	if m.now() > from && at != 0 && err == nil {
		count := 0
		for _, x := range m.lastRuns(math.MaxInt64) {
			if x.Revision == revision {
				count++
			}
		}
		if count < n {
			at = 0
		}
	}
	return at, err
}

// apply stores a policy by command, and gives the revision of the settings that it
// makes.
func (m *mesh) apply(ctx context.Context, fields string) (revision string, err error) {
	file, err := m.edited(fields)
	if err != nil {
		return "", err
	}
	if code, words, err := m.command(ctx, "apply", "-f", file); err != nil || code != 0 {
		return "", errors.Join(err, fmt.Errorf("apply: exit code %d: %s", code, words))
	}
	code, words, err := m.command(ctx, "why", "web.."+callee, "--settings", "-o", "json")
	if err != nil || code != 0 {
		return "", errors.Join(err, fmt.Errorf("why --settings: exit code %d: %s", code, words))
	}
	var x struct{ Revision string }
	if err := json.Unmarshal([]byte(words), &x); err != nil {
		return "", fmt.Errorf("why --settings: %w", err)
	}
	return x.Revision, nil
}

func (m *mesh) edited(fields string) (file string, err error) {
	file = filepath.Join(m.folder, "edited.json")
	text := fmt.Appendf(nil, `{"apiVersion": "switchgear/v1", "kind": "CircuitPolicy", "metadata": {"name": "edited"}, "spec": {"selector": {"callee": %q}, %s}}`, callee, fields)
	if err := os.WriteFile(file, text, 0o600); err != nil {
		return "", fmt.Errorf("write the policy: %w", err)
	}
	return file, nil
}

// refuses reports whether a policy that is wrong is refused as it should be.
func (m *mesh) refuses(ctx context.Context) (float64, error) {
	file, err := m.edited(`"failureRateThreshold": 150`)
	if err != nil {
		return 0, err
	}
	code, words, err := m.command(ctx, "apply", "-f", file)
	if err != nil || code != 3 {
		return 0, err
	}
	for _, word := range []string{"failureRateThreshold", "150", "want"} {
		if !strings.Contains(words, word) {
			return 0, nil
		}
	}
	return 1, nil
}

// command runs one of the commands that operators have, and gives all that it
// says.
func (m *mesh) command(ctx context.Context, args ...string) (code int, words string, err error) {
	cmd := exec.CommandContext(ctx, m.binary, append(args, "--server", "http://"+m.address)...)
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return exit.ExitCode(), string(out), nil
	}
	return 0, string(out), err
}
