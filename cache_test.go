package switchgear_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/datapunk/switchgear"
)

// memory is a cache as somebody else would write it.
type memory struct {
	state []byte
	err   error
	saves int
}

func (c *memory) Load(string) ([]byte, error) { return c.state, c.err }
func (c *memory) Save(_ string, s []byte) error {
	c.saves++
	if c.err == nil {
		c.state = s
	}
	return c.err
}

// process is one of the service's, with what it logs.
func process(t *testing.T, c switchgear.StateCache, options ...switchgear.Option) (*switchgear.Manager, *bytes.Buffer) {
	t.Helper()
	var log bytes.Buffer
	m, err := switchgear.New(switchgear.Config{Service: "checkout", Logger: slog.New(slog.NewTextHandler(&log, nil))},
		append(options, switchgear.WithStateCache(c))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.Close() })
	return m, &log
}

// outage of the callee ledger, seen by a process that then ends.
func outage(t *testing.T, c switchgear.StateCache, options ...switchgear.Option) {
	t.Helper()
	m, _ := process(t, c, options...)
	b := m.Breaker(switchgear.Key{Callee: "ledger"})
	x := b.Circuit().Instance("10.0.0.7:8080")
	x.Restore(x.Snapshot()) // an instance that is well is not saved
	for range 20 {
		_, _ = switchgear.Do(t.Context(), b, fail)
	}
	if b.State() != switchgear.Open {
		t.Fatal("it did not open: nothing is shown")
	}
	_, _ = switchgear.Do(t.Context(), m.Breaker(switchgear.Key{Callee: "well"}), work)
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestARestartGoesOnWithItsOutage(t *testing.T) {
	for name, option := range map[string][]switchgear.Option{"explicit": {byRate()}, "automatic": nil} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := new(memory)
				outage(t, c, option...)
				time.Sleep(300 * time.Millisecond)
				m, log := process(t, c, option...)
				if !strings.Contains(log.String(), "breakers=1") {
					t.Errorf("log %s: want how many go on", log)
				}
				if n := m.Stats().Breakers; n != 1 {
					t.Errorf("%d breakers from the cache: want the one that was not well", n)
				}
				b := m.Breaker(switchgear.Key{Callee: "ledger"})
				_, err := switchgear.Do(t.Context(), b, work)
				np, ok := errors.AsType[*switchgear.NotPermittedError](err)
				if !ok || !strings.Contains(np.Why, "as before the restart") || !strings.Contains(np.Why, "20 of 20") {
					t.Fatalf("first call after the restart: %v: want a rejection with the reason of before", err)
				}
				traffic(t, b, 50, 15*time.Second, work)
				if b.State() != switchgear.Closed {
					t.Errorf("%v long after the callee is well", b.State())
				}
				_ = m.Close()
				if bytes.Contains(c.state, []byte("ledger")) {
					t.Error("an outage that is over is still saved")
				}
			})
		})
	}
}

func TestAStateThatCannotBeTrustedIsRefusedAndCostsNothingElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := new(memory)
		outage(t, c, byRate())
		good := string(c.state)
		signed := func(body string) string {
			sum := sha256.Sum256([]byte(body))
			return "switchgear-state/1 " + hex.EncodeToString(sum[:]) + "\n" + body
		}
		_, body, _ := strings.Cut(good, "\n")
		for _, tt := range []struct{ name, state, want string }{
			{"one bit", strings.Replace(good, "ledger", "ledges", 1), "damaged"},
			{"cut short", good[:len(good)/2], "damaged"},
			{"another format", strings.Replace(good, "state/1", "state/9", 1), "another version"},
			{"noise", "\x00\xff\n\n", "not a state"},
			{"another service", signed(strings.Replace(body, "default/checkout", "default/cart", 1)), "of the service"},
			{"not a document", signed("{"), "JSON"},
			{"too large", strings.Repeat("x", 5<<20), "at most"},
			{"too many", signed(`{"service":"default/checkout","savedAt":"` + time.Now().Format(time.RFC3339Nano) + `","breakers":[` + strings.Repeat("{},", 1000) + `{}]}`), "at most"},
			{"from the future", signed(strings.Replace(body, `"savedAt":"2000-`, `"savedAt":"2001-`, 1)), "future"},
			{"old", signed(strings.Replace(body, `"savedAt":"2000-`, `"savedAt":"1999-`, 1)), "old"},
		} {
			m, log := process(t, &memory{state: []byte(tt.state)}, byRate())
			if !strings.Contains(log.String(), tt.want) {
				t.Errorf("%s: log %s: want %q", tt.name, log, tt.want)
			}
			if n := m.Stats().Breakers; n != 0 {
				t.Errorf("%s: %d breakers come of it", tt.name, n)
			}
			_ = m.Close()
		}
	})
}

func TestHostileNamesInAStateMakeNoBreaker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		body := `{"service":"default/checkout","savedAt":"` + time.Now().Format(time.RFC3339Nano) + `","breakers":[` +
			`{"callee":"a\nb","namespace":"x","state":"open"},{"callee":"b","namespace":"x","instance":"\u0000","state":"open"},{"callee":"c","namespace":"x","state":"melted"}]}`
		sum := sha256.Sum256([]byte(body))
		m, _ := process(t, &memory{state: []byte("switchgear-state/1 " + hex.EncodeToString(sum[:]) + "\n" + body)})
		for c := range m.Metrics() {
			if c.State != switchgear.Closed {
				t.Errorf("%v is %v", c.Key, c.State)
			}
		}
		if n := m.Stats().Breakers; n > 1 {
			t.Errorf("%d breakers: want the one with a valid name at most", n)
		}
	})
}

func TestACacheThatFailsIsLoggedOnceAndCostsNothingElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &memory{err: errors.New("read-only file system")}
		m, log := process(t, c, byRate())
		b := m.Breaker(switchgear.Key{Callee: "ledger"})
		for range 100 {
			for range 20 {
				_, _ = switchgear.Do(t.Context(), b, fail)
			}
			time.Sleep(time.Second)
		}
		_ = m.Close()
		if n := strings.Count(log.String(), "can't save"); n != 1 || c.saves < 2 {
			t.Errorf("%d saves failed, logged %d times: want once", c.saves, n)
		}
	})
}

func TestSavesAreOneASecondAtMost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s switchgear.Settings
		s.Breaker.ConsecutiveFailures, s.Breaker.Wait.Base, s.Breaker.Wait.Max = 1, 10*time.Millisecond, 10*time.Millisecond
		c := new(memory)
		m, _ := process(t, c, switchgear.WithSettings(s))
		b := m.Breaker(switchgear.Key{Callee: "ledger"})
		traffic(t, b, 100, 10*time.Second, fail)
		_ = m.Close()
		if c.saves < 5 || c.saves > 12 {
			t.Errorf("%d saves in 10 s of flapping: want about one a second", c.saves)
		}
	})
}

func TestProcessesOfOneServiceHaveAFileEach(t *testing.T) {
	folder := t.TempDir()
	first, _ := process(t, switchgear.FileCache(folder), byRate())
	second, _ := process(t, switchgear.FileCache(folder), byRate())
	for i, m := range []*switchgear.Manager{first, second} {
		b := m.Breaker(switchgear.Key{Callee: fmt.Sprint("callee-", i)})
		for range 20 {
			_, _ = switchgear.Do(t.Context(), b, fail)
		}
		_ = m.Close()
	}
	files, _ := filepath.Glob(filepath.Join(folder, "*.state"))
	if len(files) != 2 {
		t.Fatalf("files %v: want one for each process", files)
	}
	again, _ := process(t, switchgear.FileCache(folder), byRate())
	if again.Breaker(callee(0)).State() != switchgear.Open || again.Breaker(callee(1)).State() != switchgear.Closed {
		t.Error("the first slot was not free again, or another's state was taken")
	}
}

func TestAFolderThatCannotBeWrittenIsNoHindrance(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	m, log := process(t, switchgear.FileCache(file), byRate())
	if _, err := switchgear.Do(t.Context(), m.Breaker(switchgear.Key{Callee: "ledger"}), work); err != nil {
		t.Error(err)
	}
	if !strings.Contains(log.String(), "begin closed") {
		t.Errorf("log %s: want to hear that there is no state", log)
	}
}

func TestOneFileCacheIsForOneManager(t *testing.T) {
	c := switchgear.FileCache(t.TempDir())
	_, _ = process(t, c)
	if _, log := process(t, c); !strings.Contains(log.String(), "each one of its own") {
		t.Errorf("log %s: want what to do", log)
	}
}
