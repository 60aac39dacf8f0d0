package app

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/datapunk/switchgear"
	"github.com/datapunk/switchgear/breaker"
	"github.com/datapunk/switchgear/internal/control"
	apiv1 "github.com/datapunk/switchgear/server/gen/switchgear/api/v1"
	"github.com/datapunk/switchgear/server/gen/switchgear/api/v1/apiv1connect"
)

func policiesOf(t *testing.T, a *App) apiv1connect.PolicyServiceClient {
	t.Helper()
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	return apiv1connect.NewPolicyServiceClient(&http.Client{Transport: transport}, "http://"+a.Address())
}

func document(fields string) []*apiv1.Document {
	return []*apiv1.Document{{File: "p.yaml", Text: "apiVersion: switchgear/v1\nkind: CircuitPolicy\nmetadata: {name: p}\nspec: {selector: {callee: checkout}, " + fields + "}\n"}}
}

func applyTo(t *testing.T, c apiv1connect.PolicyServiceClient, fields string) {
	t.Helper()
	if _, err := c.ApplyPolicies(context.Background(), &apiv1.ApplyPoliciesRequest{Documents: document(fields), Author: "ann"}); err != nil {
		t.Fatal(err)
	}
}

// field is what a breaker runs on.
func field(b *switchgear.Breaker, name string) string {
	for _, f := range b.Explain().Fields {
		if f.Field == name {
			return f.Value
		}
	}
	return ""
}

// view of the circuit, the zero one where it is not known.
func viewOf(a *App) (v control.CircuitView) {
	for _, c := range a.owner.snapshot().Circuits {
		if c.Circuit.Callee == checkout {
			v = c
		}
	}
	return v
}

const explicit = "failureRateThreshold: 50, minimumNumberOfCalls: 10, wait: fixed, waitDurationInOpenState: 1m, maxWaitDurationInOpenState: 1m"

// A policy that is changed reaches every replica, and an open circuit keeps its
// state, its generation and the time left; what is deleted leads back to what the
// replicas had themselves.
func TestAChangedPolicyReachesEveryReplicaAndLeavesWhatIsOpenOpen(t *testing.T) {
	a, _ := running(t, nil)
	c := policiesOf(t, a)
	applyTo(t, c, explicit)
	var breakers []*switchgear.Breaker
	for _, name := range []string{"web-1", "web-2", "web-3", "web-4"} {
		breakers = append(breakers, guarded(t, a, name))
	}
	all := func(name, value string) func() bool {
		return func() bool {
			for _, b := range breakers {
				if field(b, name) != value {
					return false
				}
			}
			return true
		}
	}
	eventually(t, "all run on the policy", all("failureRateThreshold", "50"))
	eventually(t, "all are open", func() bool {
		open := true
		for _, b := range breakers {
			for range 5 {
				if p, err := b.Acquire(); err == nil {
					p.Done(switchgear.Outcome{Verdict: breaker.Failure, Kind: breaker.ServerError})
				}
			}
			open = open && b.State() == breaker.Open
		}
		return open
	})
	eventually(t, "the fleet's word stands", func() bool {
		v := viewOf(a)
		for _, b := range breakers {
			if g := b.Circuit().Breaker.View().Generation; g == 0 || v.NextProbe == 0 || v.State != breaker.Open {
				return false
			}
		}
		return true
	})
	var generations []uint64
	for _, b := range breakers {
		generations = append(generations, b.Circuit().Breaker.View().Generation)
	}
	left, at := viewOf(a).NextProbe, a.owner.snapshot().At
	began := time.Now()
	applyTo(t, c, strings.Replace(explicit, "Threshold: 50", "Threshold: 60", 1))
	eventually(t, "all run on the change", all("failureRateThreshold", "60"))
	took := time.Since(began)
	t.Logf("the change ran on all replicas after %v", took)
	for i, b := range breakers {
		if v := b.Circuit().Breaker.View(); v.State != breaker.Open || v.Generation != generations[i] {
			t.Errorf("replica %d: %v of generation %d: want it open, of %d still", i+1, v.State, v.Generation, generations[i])
		}
	}
	eventually(t, "a newer look", func() bool { return a.owner.snapshot().At.After(began.Add(took)) })
	v := viewOf(a)
	if passed := a.owner.snapshot().At.Sub(at); v.NextProbe > left-passed+50*time.Millisecond || v.NextProbe < left-passed-50*time.Millisecond {
		t.Errorf("%v left until the next probe, %v before, after %v", v.NextProbe, left, passed)
	}
	if _, err := c.DeletePolicy(context.Background(), &apiv1.DeletePolicyRequest{Name: "p", Author: "ann"}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "all run on their own settings again", all("minimumNumberOfCalls", "20"))
}

func TestNothingIsEnforcedInProductionBeforeAPolicySaysSo(t *testing.T) {
	a, _ := running(t, func(c *Config) { c.shows = true })
	c := policiesOf(t, a)
	b := guarded(t, a, "web-1")
	mode := func() breaker.Mode {
		call(b)
		return viewOf(a).Mode
	}
	eventually(t, "it is shown alone", func() bool { return mode() == breaker.MetricsOnly })
	applyTo(t, c, "quorum: 3")
	eventually(t, "the policy runs", func() bool { return field(b, "quorum") == "3" })
	if mode() != breaker.MetricsOnly {
		t.Error("a policy that names no mode enforces")
	}
	applyTo(t, c, "mode: enforce")
	eventually(t, "it is enforced", func() bool { return mode() == breaker.Enforce && b.Circuit().Breaker.View().Attached })
	applyTo(t, c, "mode: metrics_only")
	eventually(t, "it is not any more", func() bool { return mode() == breaker.MetricsOnly && b.Mode() == breaker.MetricsOnly })
}

// busy calls through breakers, of which one in so many fails, until it is stopped.
func busy(t *testing.T, breakers []*switchgear.Breaker, oneIn int) {
	t.Helper()
	quit := make(chan struct{})
	var all sync.WaitGroup
	for _, b := range breakers {
		all.Go(func() {
			tick := time.NewTicker(2 * time.Millisecond)
			defer tick.Stop()
			for i := 1; ; i++ {
				select {
				case <-quit:
					return
				case <-tick.C:
				}
				if p, err := b.Acquire(); err == nil {
					o := switchgear.Outcome{}
					if i%oneIn == 0 {
						o = switchgear.Outcome{Verdict: breaker.Failure, Kind: breaker.ServerError}
					}
					p.Done(o)
				}
			}
		})
	}
	t.Cleanup(func() { close(quit); all.Wait() })
}

// The acceptance, with a daemon and replicas: what would block good calls is taken
// back before anybody runs on it, what is harmless becomes everybody's.
func TestARolloutIsTakenBackByItsNumbersOrPasses(t *testing.T) {
	a, _ := running(t, nil)
	c := policiesOf(t, a)
	applyTo(t, c, "failureRateThreshold: 50")
	breakers := []*switchgear.Breaker{guarded(t, a, "web-1"), guarded(t, a, "web-2"), guarded(t, a, "web-3")}
	busy(t, breakers, 100)
	start := func(fields string) {
		t.Helper()
		_, err := c.ApplyPolicies(context.Background(), &apiv1.ApplyPoliciesRequest{
			Documents: document(fields), Author: "ann",
			Rollout: &apiv1.RolloutPlan{StageDuration: durationpb.New(time.Second), MinimumCalls: 300, CanaryPercent: 30},
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	stage := func() *apiv1.Rollout {
		r, err := c.GetRollout(context.Background(), &apiv1.GetRolloutRequest{Name: "p"})
		if err != nil {
			t.Fatal(err)
		}
		return r.GetRollout()
	}
	start("consecutiveFailures: 1, wait: fixed, waitDurationInOpenState: 100ms")
	if _, err := c.ApplyPolicies(context.Background(), &apiv1.ApplyPoliciesRequest{Documents: document("quorum: 5"), Author: "bob", Rollout: &apiv1.RolloutPlan{}}); connect.CodeOf(err) != connect.CodeFailedPrecondition {
		t.Errorf("%v: want that a rollout is under way", err)
	}
	eventually(t, "it is taken back", func() bool { return stage().GetStage() == "rolled_back" })
	r := stage()
	t.Log(r.GetWhy())
	if len(r.GetPassed()) != 1 || r.GetPassed()[0].GetNumbers().GetCandidate().GetBlockedPercent() < 2 || !strings.Contains(r.GetWhy(), "% of") {
		t.Errorf("%v: want it taken back in the first stage, by its numbers", r)
	}
	for _, b := range breakers {
		if field(b, "consecutiveFailures") != "0" {
			t.Error("a replica ran on what was taken back")
		}
	}

	start("failureRateThreshold: 60")
	canaries := 0
	eventually(t, "one replica tries it", func() bool {
		canaries = 0
		for _, b := range breakers {
			if field(b, "failureRateThreshold") == "60" {
				canaries++
			}
		}
		return canaries > 0
	})
	if canaries != 1 {
		t.Errorf("%d canaries: want 1 of 3", canaries)
	}
	eventually(t, "it has passed", func() bool { s := stage().GetStage(); return s == "done" || s == "rolled_back" })
	r = stage()
	if r.GetStage() != "done" || len(r.GetPassed()) != 3 || r.GetPassed()[1].GetNumbers().GetOnTrial() != 1 {
		t.Errorf("%v: want it done, after three stages and one canary", r)
	}
	for _, b := range breakers {
		if field(b, "failureRateThreshold") != "60" {
			t.Error("a replica does not run on what has passed")
		}
	}
}
