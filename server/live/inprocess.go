package live

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"time"

	"github.com/datapunk/switchgear"
	"github.com/datapunk/switchgear/internal/sim/story"
	"github.com/datapunk/switchgear/policy"
)

// inProcess are the promises that the library keeps in a process of its own, by
// their measures: they take the library itself, and no mesh.
var inProcess = map[string]func() (float64, error){
	"1 of 30 routes fails, and a policy gives it a circuit of its own: only that opens":               ownRoute,
	"a restarted replica starts from its snapshot: calls it lets through in an outage with no daemon": restarted,
	"a million keys of an attacker: bytes over the cap":                                               func() (float64, error) { over, _, err := attacked(); return over, err },
	"a million keys of an attacker: open breakers that were evicted":                                  func() (float64, error) { _, evicted, err := attacked(); return evicted, err },
}

// InProcess measures those rows that wait for the library.
func InProcess(rows []story.Row) error {
	for i := range rows {
		measure := inProcess[rows[i].Measure]
		if measure == nil {
			continue
		}
		x, err := measure()
		if err != nil {
			return fmt.Errorf("scenario %d, %s: %w", rows[i].Scenario, rows[i].Measure, err)
		}
		rows[i].Settle(x)
	}
	return nil
}

var errDown = errors.New("down")

// guarded makes one call, and tells whether it was let through.
func guarded(b *switchgear.Breaker, fails bool) (through bool) {
	_, _ = switchgear.Do(context.Background(), b, func(context.Context) (int, error) {
		through = true
		if fails {
			return 0, errDown
		}
		return 1, nil
	})
	return through
}

// ownRoute calls thirty routes, of which one fails and has a policy: 1 if its
// circuit opens and nothing else does.
func ownRoute() (float64, error) {
	set, err := policy.Decode([]byte(`[{"apiVersion":"switchgear/v1","kind":"CircuitPolicy","metadata":{"name":"route"},"spec":{
		"selector":{"callee":"db","route":"/r7"},"failureRateThreshold":50,"minimumNumberOfCalls":20}}]`))
	if err != nil {
		return 0, err
	}
	m, err := switchgear.New(switchgear.Config{Service: "web"})
	if err != nil {
		return 0, err
	}
	defer func() { _ = m.Close() }()
	if err := m.SetPolicies(set); err != nil {
		return 0, err
	}
	whole := m.Breaker(switchgear.Key{Callee: "db"})
	var open []string
	for range 100 {
		for i := range 30 {
			b := whole.Route(fmt.Sprintf("/r%d", i))
			guarded(b, i == 7)
			if k := b.Key().String(); b.State() == switchgear.Open && !slices.Contains(open, k) {
				open = append(open, k)
			}
		}
	}
	if len(open) == 1 && open[0] == "db#/r7" {
		return 1, nil
	}
	return 0, nil
}

// memory is a state cache in this process.
type memory struct{ state []byte }

func (c *memory) Load(string) ([]byte, error)       { return c.state, nil }
func (c *memory) Save(_ string, state []byte) error { c.state = state; return nil }

// restarted counts what a process lets through in the half second after its start,
// of 100 calls to a callee that was down before and still is, with a wait of 5 s.
func restarted() (float64, error) {
	var s switchgear.Settings
	s.Breaker.FailureRateThreshold, s.Breaker.Wait.Base = 50, 5*time.Second
	cache := new(memory)
	through := 0
	for run := range 2 {
		m, err := switchgear.New(switchgear.Config{Service: "web"}, switchgear.WithSettings(s), switchgear.WithStateCache(cache))
		if err != nil {
			return 0, err
		}
		b := m.Breaker(switchgear.Key{Callee: "db"})
		for range 100 {
			if guarded(b, true) && run == 1 {
				through++
			}
			time.Sleep(5 * time.Millisecond)
		}
		if run == 0 && b.State() == switchgear.Closed {
			return 0, errors.New("it did not open before the restart")
		}
		if err := m.Close(); err != nil {
			return 0, err
		}
	}
	return float64(through), nil
}

// perBreaker is what one breaker of a process may weigh, with what control knows of
// it where it follows it: the cap of memory is that of breakers times this.
const perBreaker = 20 << 10

// attacked lets callers choose a million keys: bytes above the cap that stay, and
// how many of the breakers that were open before are gone.
func attacked() (over, evicted float64, err error) {
	const most = 1000
	m, err := switchgear.New(switchgear.Config{Service: "web", MaxBreakers: most})
	if err != nil {
		return 0, 0, err
	}
	defer func() { _ = m.Close() }()
	open := make([]*switchgear.Breaker, 10)
	for i := range open {
		open[i] = m.Breaker(switchgear.Key{Callee: fmt.Sprintf("open-%d", i)})
		for open[i].State() != switchgear.Open {
			guarded(open[i], true)
		}
	}
	before := heap()
	for i := range 1_000_000 {
		guarded(m.Breaker(switchgear.Key{Callee: fmt.Sprintf("key-%d", i)}), false)
	}
	over = max(0, float64(heap()-before)-most*perBreaker)
	for _, b := range open {
		if m.Breaker(b.Key()) != b || b.State() == switchgear.Closed {
			evicted++
		}
	}
	return over, evicted, nil
}

func heap() int64 {
	runtime.GC()
	var s runtime.MemStats
	runtime.ReadMemStats(&s)
	return int64(s.HeapAlloc)
}
