package app

import (
	"context"
	"io"
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
		try(b)
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

// beset calls through breakers, of which one in so many fails, until it is stopped.
func beset(t *testing.T, breakers []*switchgear.Breaker, oneIn int) {
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
	beset(t, breakers, 30)
	start := func(fields string) {
		t.Helper()
		_, err := c.ApplyPolicies(context.Background(), &apiv1.ApplyPoliciesRequest{
			Documents: document(fields), Author: "ann",
			Rollout: &apiv1.RolloutPlan{StageDuration: durationpb.New(time.Second), MinimumCalls: 500, CanaryPercent: 30},
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
	eventually(t, "all run on what has passed", func() bool {
		for _, b := range breakers {
			if field(b, "failureRateThreshold") != "60" {
				return false
			}
		}
		return true
	})
}

// Without any client of ours: JSON by POST, and errors that say field, value, reason
// and what to do.
func TestPlainJSONAppliesPoliciesAndIsToldAllThatIsWrong(t *testing.T) {
	a, _ := running(t, nil)
	post := func(method, body string) (int, string) {
		t.Helper()
		resp, err := http.Post("http://"+a.Address()+"/switchgear.api.v1.PolicyService/"+method, "application/json", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		data, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		http.DefaultClient.CloseIdleConnections()
		return resp.StatusCode, string(data)
	}
	const head = `{"author": "ann", "documents": [{"file": "p.yaml", "text": "apiVersion: switchgear/v1\nkind: CircuitPolicy\nmetadata: {name: p}\nspec: {`
	if code, body := post("ApplyPolicies", head+`quorum: 3}"}]}`); code != http.StatusOK || !strings.Contains(body, `"ACTION_CREATED"`) {
		t.Errorf("%d %s", code, body)
	}
	for _, test := range []struct {
		method, body string
		code         int
		want         []string
	}{
		{"ApplyPolicies", head + `openAbove: 0, quorom: 2}"}]}`, http.StatusBadRequest, []string{
			`"invalid_argument"`, `"file":"p.yaml"`, `"line":4`, `"field":"spec.openAbove"`, `"value":"0"`, `"reason":"want 1 to 95"`, `"hint":"correct line 4 of p.yaml"`,
			`"field":"spec.quorom"`, `did you mean quorum?`, `"requestId"`, `"advice":"correct the documents and apply again"`,
		}},
		{"ApplyPolicies", `{"author": "ann"}`, http.StatusBadRequest, []string{"want one at least"}},
		{"ApplyPolicies", strings.Replace(head, "ann", "", 1) + `quorum: 3}"}]}`, http.StatusBadRequest, []string{"author"}},
		{"ApplyPolicies", head + `quorum: 4}"}], "expectedVersions": {"p": 7}}`, http.StatusConflict, []string{`"aborted"`, `"expectedVersion":"7"`, `"version":"1"`, `"author":"ann"`}},
		{"GetPolicy", `{"name": "none"}`, http.StatusNotFound, []string{`"not_found"`}},
		{"GetPolicy", `{"name": ""}`, http.StatusBadRequest, []string{`"field":"name"`}},
		{"ListPolicies", `{"pageSize": 5000}`, http.StatusBadRequest, []string{`"page_size"`}},
		{"ListPolicies", `{"pageToken": "%"}`, http.StatusBadRequest, []string{`"page_token"`}},
		{"ExplainCircuit", `{"circuit": "x"}`, http.StatusBadRequest, []string{"namespace/caller..namespace/callee"}},
		{"GetRollout", `{"name": "none"}`, http.StatusNotFound, nil},
		{"ApplyPolicies", head + `quorum: 4}"}], "rollout": {"canaryPercent": 100}}`, http.StatusBadRequest, []string{"canaryPercent 100: want over 0 and under 100"}},
		{"ApplyPolicies", head + `quorum: 4, hosts: [` + strings.Repeat("a.example,", 9000) + `]}"}]}`, http.StatusBadRequest, []string{"at most 256"}},
		{"ApplyPolicies", `{"author": "ann", "documents": [{"text": "` + strings.Repeat(" ", 1<<20) + `x"}]}`, http.StatusTooManyRequests, []string{`"resource_exhausted"`, `"what"`}},
	} {
		code, body := post(test.method, test.body)
		if code != test.code {
			t.Errorf("%s %.200s: %d: want %d", test.method, test.body, code, test.code)
		}
		for _, want := range test.want {
			if !strings.Contains(body, want) {
				t.Errorf("%s %.200s: %.900s: want %s", test.method, test.body, body, want)
			}
		}
	}
	if code, body := post("ListPolicies", `{}`); code != http.StatusOK || !strings.Contains(body, `"version":"1"`) || !strings.Contains(body, `"age"`) {
		t.Errorf("%d %s: want the first version still, and how old it is", code, body)
	}
}

// What one daemon acknowledges is in force at the others, and a version that both
// saw is changed once.
func TestDaemonsShareTheirPolicies(t *testing.T) {
	a, _ := running(t, nil)
	b, _ := running(t, func(c *Config) { c.Name, c.Bus = "d2", a.bus })
	one, two := policiesOf(t, a), policiesOf(t, b)
	applyTo(t, one, "quorum: 3")
	quorum := func() string {
		e, err := two.ExplainCircuit(context.Background(), &apiv1.ExplainCircuitRequest{Circuit: "web..checkout"})
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range e.GetFields() {
			if f.GetField() == "quorum" {
				return f.GetValue()
			}
		}
		return ""
	}
	eventually(t, "the other daemon has it in force", func() bool { return quorum() == "3" })
	wins := 0
	for _, c := range []apiv1connect.PolicyServiceClient{one, two} {
		_, err := c.ApplyPolicies(context.Background(), &apiv1.ApplyPoliciesRequest{Documents: document("quorum: 4"), Author: "bob", ExpectedVersions: map[string]uint64{"p": 1}})
		switch {
		case err == nil:
			wins++
		case connect.CodeOf(err) != connect.CodeAborted:
			t.Error(err)
		}
	}
	if wins != 1 {
		t.Errorf("%d changed version 1: want one", wins)
	}
}

// Replicas that open by their own rule while the fleet's ramp is under way are led
// back, too, whatever rule comes next.
func TestReplicasThatOpenAloneOnARampAreLedBack(t *testing.T) {
	a, _ := running(t, nil)
	c := policiesOf(t, a)
	breakers := []*switchgear.Breaker{guarded(t, a, "web-1"), guarded(t, a, "web-2"), guarded(t, a, "web-3")}
	beset(t, breakers, 30)
	count := func(s breaker.State) (n int) {
		for _, b := range breakers {
			if b.State() == s {
				n++
			}
		}
		return n
	}
	for range 3 {
		applyTo(t, c, "consecutiveFailures: 1, wait: fixed, waitDurationInOpenState: 100ms")
		eventually(t, "one is open", func() bool { return count(breaker.Open) > 0 })
		applyTo(t, c, "failureRateThreshold: 50")
		eventually(t, "all are closed", func() bool { return count(breaker.Closed) == 3 })
	}
}
