package cli

import (
	"context"
	"fmt"
	"io"
	"runtime"
	"sync"
	"time"
)

// parallel does n things, as many at once as there are processors, and says every
// ten seconds how far it is.
func parallel(ctx context.Context, n int, what string, progress io.Writer, do func(i int)) error {
	var mu sync.Mutex
	next, done, said := 0, 0, time.Now()
	take := func() (int, bool) {
		mu.Lock()
		defer mu.Unlock()
		next++
		return next - 1, next <= n && ctx.Err() == nil
	}
	var workers sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		workers.Go(func() {
			for i, ok := take(); ok; i, ok = take() {
				do(i)
				mu.Lock()
				done++
				if time.Since(said) > 10*time.Second {
					said = time.Now()
					fmt.Fprintf(progress, "%d of %d %s\n", done, n, what)
				}
				mu.Unlock()
			}
		})
	}
	workers.Wait()
	return ctx.Err()
}
