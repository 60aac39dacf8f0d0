package switchgear_test

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/datapunk/switchgear"
)

func TestDoTellsTheAttemptThatTheContextNames(t *testing.T) {
	var attempts []uint8
	m, err := switchgear.New(switchgear.Config{Service: "web", Classify: func(r switchgear.Result) switchgear.Outcome {
		attempts = append(attempts, r.Default.Attempt)
		return r.Default
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	b := m.Breaker(switchgear.Key{Callee: "ledger"})
	for _, ctx := range []context.Context{t.Context(), switchgear.WithAttempt(t.Context(), 2)} {
		_, _ = switchgear.Do(ctx, b, func(context.Context) (int, error) { return 0, errors.New("boom") })
	}
	if !slices.Equal(attempts, []uint8{0, 2}) {
		t.Errorf("attempts %v: want 0, not known, then 2", attempts)
	}
	n := b.Circuit().Breaker.Counts()
	if n.Failed != 2 || n.RetriedFailed != 1 {
		t.Errorf("%d failed, %d of them retries: want 2 and 1", n.Failed, n.RetriedFailed)
	}
}
