package failures

import (
	"context"
	"sync"
	"testing"

	"github.com/datapunk/switchgear/breaker"
)

// Adapter makes one call to a peer, whatever it comes to, through a manager whose
// Classify hook hands each outcome to judged.
type Adapter func(ctx context.Context, t *testing.T, p *Peer, judged func(breaker.Outcome))

// Run sends every row through an adapter: one call, one outcome, as the table says.
func Run(t *testing.T, d Dialect, call Adapter) {
	t.Helper()
	for _, f := range Table {
		t.Run(f.Name, func(t *testing.T) {
			t.Parallel()
			p := f.Serve(t, d)
			var mu sync.Mutex
			var got []breaker.Outcome
			p.Call(t.Context(), func(ctx context.Context) {
				call(ctx, t, p, func(o breaker.Outcome) {
					mu.Lock()
					defer mu.Unlock()
					got = append(got, o)
				})
			})
			mu.Lock()
			defer mu.Unlock()
			if len(got) != 1 {
				t.Fatalf("%d outcomes of one call: %+v", len(got), got)
			}
			o := got[0]
			if o.Verdict != f.Verdict || o.Kind != f.Kind || o.RetryAfter != f.RetryAfter {
				t.Errorf("%s, %s, retry after %s: want %s, %s, %s", o.Verdict, o.Kind, o.RetryAfter, f.Verdict, f.Kind, f.RetryAfter)
			}
		})
	}
}
