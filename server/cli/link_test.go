package cli

import (
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/datapunk/switchgear/server/demo"
)

// The short form of lab link. It does not look at times, which are the machine's:
// whether a call waited is asked of the runtime, which notes where goroutines
// block. A call may meet another one at a mutex that is held for some
// instructions; it must never wait for a channel, a condition or the network.
func TestNoCallWaitsForTheLinkHoweverItBreaks(t *testing.T) {
	binary, err := exec.LookPath("switchgear") // this test binary, as the scripts run it
	if err != nil {
		t.Fatal(err)
	}
	runtime.SetBlockProfileRate(1)
	defer runtime.SetBlockProfileRate(0)
	r, err := demo.RunLink(t.Context(), demo.LinkConfig{Binary: binary, Rate: 2000, Phase: 250 * time.Millisecond, Say: func(string) {}})
	if err != nil {
		t.Fatal(err)
	}
	for _, where := range blockedCalls() {
		t.Errorf("a call blocked in %s", where)
	}
	for _, p := range r.Phases {
		if p.Calls == 0 || p.Collateral > 0 || p.Permitted+p.Rejected == 0 {
			t.Errorf("%s: %d calls, %d and %d to the failing callee, %d to the healthy one rejected", p.Name, p.Calls, p.Permitted, p.Rejected, p.Collateral)
		}
	}
	if last := r.Phases[len(r.Phases)-1]; last.State == "closed" || last.Rejected == 0 {
		t.Errorf("the failing circuit is %s at last, and %d calls were rejected: want it open through it all", last.State, last.Rejected)
	}
}

// blockedCalls are the places where a call of the load has blocked on anything but
// a mutex, or the collector that it was the one to start.
func blockedCalls() (places []string) {
	n, _ := runtime.BlockProfile(nil)
	records := make([]runtime.BlockProfileRecord, n+100)
	n, _ = runtime.BlockProfile(records)
	for _, r := range records[:n] {
		var names []string
		frames := runtime.CallersFrames(r.Stack())
		for {
			f, more := frames.Next()
			names = append(names, f.Function)
			if !more {
				break
			}
		}
		stack := strings.Join(names, " ← ")
		mutex := strings.HasPrefix(names[0], "sync.(*Mutex).Lock") || strings.HasPrefix(names[0], "sync.(*RWMutex)")
		if strings.Contains(stack, "linkLoad).one") && !mutex && !strings.Contains(stack, "runtime.mallocgc") {
			places = append(places, stack)
		}
	}
	return places
}
