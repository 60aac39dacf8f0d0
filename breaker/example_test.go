package breaker_test

import (
	"errors"
	"fmt"
	"time"

	"github.com/datapunk/switchgear/breaker"
)

// clock is what a program's own loop advances; here nobody does, so that it
// stands at one instant.
var clock = breaker.NewClock(func() time.Duration { return time.Second })

func Example() {
	settings := breaker.Settings{FailureRateThreshold: 50, MinimumNumberOfCalls: 4}.WithDefaults()
	b := breaker.New(&settings, breaker.Options{Clock: clock})
	for range 4 {
		p, err := b.Acquire()
		if err != nil {
			fmt.Println(err)
			return
		}
		p.Done(breaker.Outcome{Verdict: breaker.Failure, Kind: breaker.Timeout})
	}
	_, err := b.Acquire()
	fmt.Println(err)
	fmt.Println(errors.Is(err, breaker.ErrOpen))
	// Output:
	// call not permitted: circuit is open, open: 4 of 4 calls failed (100 %, threshold 50 %)
	// true
}

// A strategy is a team's own rule: here a budget of failed calls in the window.
func ExampleStrategy() {
	budget := func(w breaker.Window) (bool, string) {
		return w.Failed > 2, fmt.Sprintf("%d of 2 allowed failures spent", w.Failed)
	}
	settings := breaker.Settings{Strategy: budget}.WithDefaults()
	b := breaker.New(&settings, breaker.Options{Clock: clock})
	for b.State() == breaker.Closed {
		p, _ := b.Acquire()
		p.Done(breaker.Outcome{Verdict: breaker.Failure})
	}
	fmt.Println(b.View().Why)
	// Output: 3 of 2 allowed failures spent
}

// A call that may panic, or forget to report, defers Release: it does nothing
// after Done.
func ExamplePermit_Release() {
	settings := breaker.Default()
	b := breaker.New(&settings, breaker.Options{Clock: clock})
	call := func() {
		p, err := b.Acquire()
		if err != nil {
			return
		}
		defer p.Release()
		p.Done(breaker.Outcome{})
	}
	call()
	fmt.Println(b.Counts().Succeeded, b.Counts().Released)
	// Output: 1 0
}

// An operator's override is put on and taken off beside the state.
func ExampleBreaker_SetMode() {
	settings := breaker.Default()
	b := breaker.New(&settings, breaker.Options{Clock: clock})
	b.SetMode(breaker.ForcedOpen, "callee moves house")
	_, err := b.Acquire()
	fmt.Println(err)
	b.ClearMode()
	fmt.Println(b.State())
	// Output:
	// call not permitted: circuit is closed, forced: callee moves house
	// half_open
}
