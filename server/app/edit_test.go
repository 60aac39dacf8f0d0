package app

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/datapunk/switchgear"
	"github.com/datapunk/switchgear/breaker"
	"github.com/datapunk/switchgear/internal/control"
	"github.com/datapunk/switchgear/policy"
)

// The log has how long it took: a second is promised; it is measured here and not
// asserted.
func TestAPolicyEditReachesLiveBreakersWithTheirStateKept(t *testing.T) {
	a, _ := running(t, nil)
	breakers := billing(t, a, 3)
	for _, b := range breakers {
		for range 200 {
			call(b, switchgear.Outcome{Verdict: breaker.Failure, Kind: breaker.ServerError})
		}
	}
	eventually(t, "open in each replica", func() bool {
		return !slices.ContainsFunc(breakers, func(b *switchgear.Breaker) bool { return b.State() == breaker.Closed })
	})
	id := breakers[0].Circuit().ID
	var views []breaker.View
	var before []breaker.Counts
	for _, b := range breakers {
		views, before = append(views, b.Circuit().Breaker.View()), append(before, b.Circuit().Breaker.Counts())
	}
	var took []time.Duration
	for i := range 20 {
		s := policy.Default()
		s.Revision, s.Breaker.FailureRateThreshold = fmt.Sprintf("r%d", i), float64(20+i)
		began := time.Now()
		a.owner.take(control.Input{Policy: &control.Policy{Circuit: id, Settings: &s}})
		eventually(t, "the edit in each replica", func() bool {
			return !slices.ContainsFunc(breakers, func(b *switchgear.Breaker) bool {
				got := b.Circuit().Settings()
				return got.Revision != s.Revision || got.Breaker.FailureRateThreshold != s.Breaker.FailureRateThreshold
			})
		})
		took = append(took, time.Since(began))
	}
	for i, b := range breakers {
		v, counts := b.Circuit().Breaker.View(), b.Circuit().Breaker.Counts()
		if v.State == breaker.Closed || v.State == views[i].State && v.Generation == views[i].Generation && v.Since != views[i].Since {
			t.Errorf("replica %d: state %v since %v before, %v since %v after", i, views[i].State, views[i].Since, v.State, v.Since)
		}
		if counts != before[i] {
			t.Errorf("replica %d counted %+v before, %+v after", i, before[i], counts)
		}
	}
	slices.Sort(took)
	t.Logf("%d edits reached 3 replicas in %v at the median, %v at most", len(took), took[len(took)/2], took[len(took)-1])
}
