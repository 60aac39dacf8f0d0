package switchgear_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/datapunk/switchgear"
	"github.com/datapunk/switchgear/policy"
)

func circuitPolicy(name, spec string) string {
	return fmt.Sprintf(`{"apiVersion":"switchgear/v1","kind":"CircuitPolicy","metadata":{"name":%q},"spec":{%s}}`, name, spec)
}

func mustDecode(t *testing.T, document string) *policy.Set {
	t.Helper()
	set, err := policy.Decode([]byte(document))
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// page is a log that tests read.
type page struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (p *page) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text.Write(b)
}

func (p *page) count(words string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return strings.Count(p.text.String(), words)
}

// filed is a manager with a policy file, one open breaker, and its log.
type filed struct {
	*testing.T
	path    string
	log     page
	manager *switchgear.Manager
	ledger  *switchgear.Breaker
}

func newFiled(t *testing.T, path string) *filed {
	t.Helper()
	f := &filed{T: t, path: path}
	m, err := switchgear.New(switchgear.Config{Service: "checkout", Logger: slog.New(slog.NewTextHandler(&f.log, nil))}, switchgear.WithPolicyFile(path))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.Close() })
	f.manager, f.ledger = m, m.Breaker(switchgear.Key{Callee: "ledger"})
	for range 5 {
		_, _ = switchgear.Do(t.Context(), f.ledger, fail)
	}
	if f.ledger.State() != switchgear.Open {
		t.Fatal("5 failures do not open it: the file was not read")
	}
	return f
}

func (f *filed) write(text string) {
	f.Helper()
	if err := os.WriteFile(f.path, []byte(text), 0o600); err != nil {
		f.Fatal(err)
	}
}

// within a second the quorum is as the file says, and the breaker still open.
func (f *filed) within(want int) {
	f.Helper()
	time.Sleep(time.Second)
	synctest.Wait()
	if got := f.ledger.Circuit().Settings().Quorum; got != want {
		f.Errorf("a second after the change the quorum is %d: want %d", got, want)
	}
	if f.ledger.State() != switchgear.Open {
		f.Errorf("the state is %v: want it kept", f.ledger.State())
	}
}

// slow keeps a breaker open for as long as a test takes.
const slow = `"consecutiveFailures":5,"waitDurationInOpenState":"1h",`

func TestAPolicyFileReachesLiveBreakersWithinASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "policy.json")
		old := circuitPolicy("p", slow+`"quorum":3`)
		if err := os.WriteFile(path, []byte(old), 0o600); err != nil {
			t.Fatal(err)
		}
		f := newFiled(t, path)
		f.within(3)

		f.write(circuitPolicy("p", slow+`"quorum":4`))
		f.within(4)
		if e := f.ledger.Explain(); e.Policies[0] != "p" || e.Revision == "" {
			t.Errorf("explained %+v", e)
		}

		// As it is being written: the length changes, the end is missing.
		whole := circuitPolicy("p", slow+`"quorum":5`)
		f.write(whole[:len(whole)/2])
		time.Sleep(600 * time.Millisecond) // so that one look sees it
		f.write(whole)
		f.within(5)
		if f.log.count("level=ERROR") != 0 {
			t.Error("a file that was just being written is told as trouble")
		}

		f.write(whole[:len(whole)/2])
		f.within(5)
		time.Sleep(time.Minute)
		f.within(5)
		if f.log.count("last good policies stay") != 1 || f.log.count("the document ends too early") != 1 {
			t.Errorf("a broken file is told %d times: want once, with the reason", f.log.count("level=ERROR"))
		}

		f.write(circuitPolicy("p", slow+`"quorum":"six"`))
		f.within(5)
		f.within(5)
		if f.log.count("spec.quorum") != 1 {
			t.Error("another reason is not told")
		}

		f.write(whole)
		f.within(5)
		if f.log.count("well again") != 1 {
			t.Error("nobody is told that the file is well again")
		}

		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		f.within(5)
		f.within(5)
		if f.log.count("no such file") != 1 {
			t.Error("a file that is gone is not told, or more than once")
		}
		if err := os.Mkdir(path, 0o700); err != nil {
			t.Fatal(err)
		}
		f.within(5)
		f.within(5)
		if f.log.count("not a regular file") != 1 {
			t.Error("a folder in its place is not told")
		}
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		f.write(strings.Repeat(" ", policy.MaxDocument+1))
		f.within(5)
		f.within(5)
		if f.log.count("at most 1048576") != 1 {
			t.Error("a file that is too long is not told")
		}
		f.write("[]")
		time.Sleep(time.Second)
		synctest.Wait()
		if s := f.ledger.Circuit().Settings(); s.Quorum != 2 || s.Breaker.ConsecutiveFailures != 0 {
			t.Errorf("an empty list leaves %+v", s)
		}
	})
}

// Kubernetes mounts files as links through a folder's link, and swaps that.
func TestAPolicyFileBehindLinksIsSwapped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		at := time.Now()
		mount := func(version string, quorum int) {
			t.Helper()
			file := filepath.Join(dir, version, "policy.json")
			if err := os.Mkdir(filepath.Dir(file), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(file, []byte(circuitPolicy("p", slow+fmt.Sprintf(`"quorum":%d`, quorum))), 0o600); err != nil {
				t.Fatal(err)
			}
			// The same length and time as before: only the file is another.
			if err := os.Chtimes(file, at, at.Add(-time.Hour)); err != nil {
				t.Fatal(err)
			}
			if err := os.Symlink(version, filepath.Join(dir, "..data_tmp")); err != nil {
				t.Fatal(err)
			}
			if err := os.Rename(filepath.Join(dir, "..data_tmp"), filepath.Join(dir, "..data")); err != nil {
				t.Fatal(err)
			}
		}
		mount("..1", 3)
		path := filepath.Join(dir, "policy.json")
		if err := os.Symlink(filepath.Join("..data", "policy.json"), path); err != nil {
			t.Fatal(err)
		}
		f := newFiled(t, path)
		f.within(3)
		mount("..2", 4)
		f.within(4)
		if err := os.RemoveAll(filepath.Join(dir, "..1")); err != nil {
			t.Fatal(err)
		}
		f.within(4)
		if f.log.count("level=ERROR") != 0 || f.log.count("policies changed") != 1 {
			t.Errorf("log:\n%s", f.log.text.String())
		}
	})
}

func TestAPolicyFileIsNotWatchedBeforeTheFirstCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "policy.json")
		write := func(quorum int) {
			t.Helper()
			if err := os.WriteFile(path, []byte(circuitPolicy("p", fmt.Sprintf(`"quorum":%d`, quorum))), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		write(3)
		m := newManager(t, switchgear.WithPolicyFile(path))
		b := m.Breaker(switchgear.Key{Callee: "ledger"})
		quorum := func() int { return b.Circuit().Settings().Quorum }
		write(4)
		time.Sleep(time.Minute)
		if quorum() != 3 {
			t.Error("a goroutine runs before the first call")
		}
		if err := m.Reload(); err != nil || quorum() != 4 {
			t.Errorf("reloaded: %v, quorum %d", err, quorum())
		}
		if err := os.WriteFile(path, []byte("{"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := m.Reload(); err == nil || !strings.Contains(err.Error(), "ends too early") || quorum() != 4 {
			t.Errorf("a broken file reloaded: %v, quorum %d", err, quorum())
		}
		write(5)
		_, _ = switchgear.Do(t.Context(), b, work)
		time.Sleep(time.Second)
		synctest.Wait()
		if quorum() != 5 {
			t.Error("the first call does not begin to watch")
		}
		if err := newManager(t).Reload(); err == nil {
			t.Error("reloading without a file says nothing")
		}
	})
}

func TestSetPoliciesChangesEveryBreakerOrNothing(t *testing.T) {
	m := newManager(t)
	b := m.Breaker(switchgear.Key{Callee: "ledger"})
	if err := m.SetPolicies(mustDecode(t, circuitPolicy("p", `"quorum":5`))); err != nil || b.Circuit().Settings().Quorum != 5 {
		t.Errorf("%v, %+v", err, b.Circuit().Settings())
	}
	if err := m.SetPolicies(mustDecode(t, circuitPolicy("p", `"quorum":6,"strategy":"none"`))); err == nil || b.Circuit().Settings().Quorum != 5 {
		t.Errorf("a strategy that is not there: %v, quorum %d: want the last good policies", err, b.Circuit().Settings().Quorum)
	}
	if err := m.SetPolicies(nil); err != nil || b.Circuit().Settings().Quorum != 2 {
		t.Errorf("none: %v, %+v", err, b.Circuit().Settings())
	}
}

func TestNoBreakerMissesAChangeOfPolicies(t *testing.T) {
	m := newManager(t)
	var sets []*policy.Set
	for quorum := range 20 {
		sets = append(sets, mustDecode(t, circuitPolicy("p", fmt.Sprintf(`"quorum":%d`, quorum+1))))
	}
	var wg sync.WaitGroup
	breakers := make([]*switchgear.Breaker, 400)
	for i := range 4 {
		wg.Go(func() {
			for k := i; k < len(breakers); k += 4 {
				breakers[k] = m.Breaker(switchgear.Key{Callee: fmt.Sprintf("c%d", k)})
			}
		})
	}
	wg.Go(func() {
		for _, s := range sets {
			if err := m.SetPolicies(s); err != nil {
				t.Error(err)
			}
		}
	})
	wg.Wait()
	for _, b := range breakers {
		if got := b.Circuit().Settings().Quorum; got != len(sets) {
			t.Fatalf("%s has the quorum %d: want the last, %d", b.Key(), got, len(sets))
		}
	}
}

func TestTheEnvironmentHoldsAProcessToAMode(t *testing.T) {
	document := mustDecode(t, "["+circuitPolicy("p", `"mode":"enforce"`)+","+circuitPolicy("off", `"selector":{"callee":"off"},"mode":"off"`)+","+
		circuitPolicy("shut", `"selector":{"callee":"shut"},"mode":"forced_open"`)+"]")
	for _, c := range []struct {
		word            string
		ledger, of, say switchgear.Mode
	}{
		{"", switchgear.Enforce, switchgear.Off, switchgear.ForcedOpen},
		{"metrics_only", switchgear.MetricsOnly, switchgear.Off, switchgear.ForcedOpen},
		{"off", switchgear.Off, switchgear.Off, switchgear.ForcedOpen},
	} {
		t.Run(c.word, func(t *testing.T) {
			t.Setenv("SWITCHGEAR_MODE", c.word)
			m := newManager(t)
			if c.word != "" && m.Breaker(switchgear.Key{Callee: "x"}).Mode() != c.ledger {
				t.Error("without policies the mode is another")
			}
			if err := m.SetPolicies(document); err != nil {
				t.Fatal(err)
			}
			for callee, want := range map[string]switchgear.Mode{"ledger": c.ledger, "off": c.of, "shut": c.say} {
				if got := m.Breaker(switchgear.Key{Callee: callee}).Mode(); got != want {
					t.Errorf("%s is in mode %v: want %v", callee, got, want)
				}
			}
		})
	}
	t.Setenv("SWITCHGEAR_MODE", "on")
	if _, err := switchgear.New(switchgear.Config{Service: "a"}); err == nil || !strings.Contains(err.Error(), `SWITCHGEAR_MODE="on" in the environment: want off or metrics_only`) {
		t.Errorf("got %v: want what it can be", err)
	}
}

func TestPoliciesSelectByTheProcessLabelsAndMapHosts(t *testing.T) {
	m, err := switchgear.New(switchgear.Config{Service: "web", Labels: map[string]string{"track": "canary"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.Close() })
	if got := m.KeyOfHost("pay.example.com:443"); got != (switchgear.Key{Callee: "pay.example.com"}) {
		t.Errorf("without policies the host is %v", got)
	}
	if err := m.SetPolicies(mustDecode(t, "["+circuitPolicy("canary", `"selector":{"labels":{"track":"canary"}},"quorum":7`)+","+
		circuitPolicy("hosts", `"selector":{"callee":"pay","namespace":"bank"},"hosts":["pay.example.com"]`)+"]")); err != nil {
		t.Fatal(err)
	}
	k := m.KeyOfHost("Pay.example.com:443")
	if k != (switchgear.Key{Callee: "pay", Namespace: "bank"}) {
		t.Errorf("the host is %v: want what the policy says", k)
	}
	if got := m.Breaker(k).Circuit().Settings().Quorum; got != 7 {
		t.Errorf("quorum %d: want the one for the process's label", got)
	}
}
