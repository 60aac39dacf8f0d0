package switchgeartest

import (
	"testing/synctest"
	"time"
)

// Turn turns the clock of a synctest bubble, and lets all that becomes due by
// then happen: an hour's wait takes no time. A manager that was made in the
// bubble lives by that clock. It panics outside of one, where time can't be
// turned.
func Turn(d time.Duration) {
	synctest.Wait()
	time.Sleep(d)
	synctest.Wait()
}
