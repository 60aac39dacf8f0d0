package switchgear_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/datapunk/switchgear"
)

func Example() {
	m, err := switchgear.New(switchgear.Config{Service: "checkout"})
	if err != nil {
		panic(err)
	}
	defer m.Close()

	ledger := m.Breaker(switchgear.Key{Callee: "ledger"})
	query := func(context.Context) (int, error) { return 0, errors.New("connection refused") }
	for range 25 {
		_, err = switchgear.Do(context.Background(), ledger, query)
	}
	if np, ok := errors.AsType[*switchgear.NotPermittedError](err); ok {
		fmt.Println(np.Key, np.State, np.Why)
	}
	// Output: ledger open 20 of 20 calls failed (100 %, threshold 50 %)
}

func ExampleDo() {
	m, err := switchgear.New(switchgear.Config{Service: "checkout"})
	if err != nil {
		panic(err)
	}
	defer m.Close()

	users := m.Breaker(switchgear.Key{Callee: "users"})
	name, err := switchgear.Do(context.Background(), users, func(context.Context) (string, error) {
		return "Ada", nil
	})
	fmt.Println(name, err)
	// Output: Ada <nil>
}

// Two steps, where a closure does not fit.
func ExampleBreaker_Acquire() {
	m, err := switchgear.New(switchgear.Config{Service: "checkout"})
	if err != nil {
		panic(err)
	}
	defer m.Close()

	queue := m.Breaker(switchgear.Key{Callee: "queue"})
	send := func() error {
		p, err := queue.Acquire()
		if err != nil {
			return err
		}
		defer p.Release() // does nothing once Done was called
		p.Done(switchgear.Outcome{Verdict: switchgear.Failure, Kind: switchgear.Timeout, Latency: time.Second})
		return nil
	}
	fmt.Println(send(), queue.State())
	// Output: <nil> closed
}

// A rule of the team's own; policies name it, here the settings do.
func ExampleWithStrategy() {
	budget := func(w switchgear.Window) (open bool, why string) {
		return w.Failed > 3, fmt.Sprintf("%d of 3 allowed failures spent", w.Failed)
	}
	settings := switchgear.Settings{}
	settings.Breaker.Strategy = budget
	m, err := switchgear.New(switchgear.Config{Service: "checkout"},
		switchgear.WithStrategy("error-budget", budget),
		switchgear.WithSettings(settings))
	if err != nil {
		panic(err)
	}
	defer m.Close()

	ledger := m.Breaker(switchgear.Key{Callee: "ledger"})
	for range 5 {
		_, err = switchgear.Do(context.Background(), ledger, func(context.Context) (int, error) {
			return 0, errors.New("boom")
		})
	}
	if np, ok := errors.AsType[*switchgear.NotPermittedError](err); ok {
		fmt.Println(np.Why)
	}
	// Output: 4 of 3 allowed failures spent
}

func ExampleManager_Events() {
	m, err := switchgear.New(switchgear.Config{Service: "checkout"})
	if err != nil {
		panic(err)
	}
	defer m.Close()

	ledger := m.Breaker(switchgear.Key{Callee: "ledger"})
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	events := m.Events(ctx)
	for range 20 {
		_, _ = switchgear.Do(ctx, ledger, func(context.Context) (int, error) { return 0, errors.New("boom") })
	}
	for e := range events {
		fmt.Println(e.Key, e.From, "→", e.To)
		break
	}
	// Output: ledger closed → open
}
