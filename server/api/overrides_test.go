package api

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/datapunk/switchgear/breaker"
	"github.com/datapunk/switchgear/internal/control"
	"github.com/datapunk/switchgear/internal/fleet"
	"github.com/datapunk/switchgear/policy"
	apiv1 "github.com/datapunk/switchgear/server/gen/switchgear/api/v1"
	"github.com/datapunk/switchgear/server/gen/switchgear/api/v1/apiv1connect"
)

// kept are orders in memory, as far as the handlers need them.
type kept struct {
	overrides map[string]*apiv1.StandingOverride
	err       error
	panics    bool
}

func (k *kept) Force(_ context.Context, o *apiv1.StandingOverride, _ uint64) (*apiv1.StandingOverride, error) {
	if k.panics {
		panic("secret")
	}
	if k.err == nil {
		k.overrides[overrideKey(o.GetCircuit(), o.GetInstance())] = o
	}
	return o, k.err
}

func (k *kept) Release(_ context.Context, o *apiv1.StandingOverride, _ uint64) (*apiv1.StandingOverride, error) {
	return o, k.err
}

func (k *kept) Override(circuit, instance string) *apiv1.StandingOverride {
	return k.overrides[overrideKey(circuit, instance)]
}

func (k *kept) Overrides() (all []*apiv1.StandingOverride) {
	for _, name := range slices.Sorted(maps.Keys(k.overrides)) {
		all = append(all, k.overrides[name])
	}
	return all
}

func (k *kept) Pause(_ context.Context, p *apiv1.StandingPause) (*apiv1.StandingPause, error) {
	return p, k.err
}

func (k *kept) Resume(_ context.Context, p *apiv1.StandingPause) (*apiv1.StandingPause, error) {
	return p, k.err
}

func (k *kept) Pauses() []*apiv1.StandingPause { return nil }

func (k *kept) Mark(_ context.Context, m *apiv1.Marker) (*apiv1.Marker, error) { return m, k.err }

func overridesOf(t *testing.T, loopback bool, names ...string) (*Overrides, *kept) {
	t.Helper()
	k := &kept{overrides: make(map[string]*apiv1.StandingOverride)}
	s := circuits(t, names...).snapshot()
	for i := range s.Circuits {
		v := &s.Circuits[i]
		v.CallsPerSecond = 10
		for _, r := range []string{"1", "2"} {
			v.Replicas = append(v.Replicas, control.ReplicaView{Replica: fleet.ReplicaID{Service: v.Circuit.Caller, Name: r}, State: breaker.State(i % 2)})
		}
	}
	return NewOverrides(k, func() *Snapshot { return s }, loopback, 24*time.Hour), k
}

func hour() *durationpb.Duration { return durationpb.New(time.Hour) }

func forceOf(change func(*apiv1.ForceRequest)) *apiv1.ForceRequest {
	q := &apiv1.ForceRequest{Circuit: "web..checkout", Mode: apiv1.Mode_MODE_FORCED_OPEN, Reason: "migration", TimeToLive: hour(), Author: "ada"}
	if change != nil {
		change(q)
	}
	return q
}

func TestAForceSaysEverythingThatAnOverrideNeeds(t *testing.T) {
	s, _ := overridesOf(t, true, "web..checkout")
	if _, err := s.Force(t.Context(), forceOf(nil)); err != nil {
		t.Fatal(err)
	}
	for field, change := range map[string]func(*apiv1.ForceRequest){
		"circuit":       func(q *apiv1.ForceRequest) { q.Circuit = "web" },
		"circuit ":      func(q *apiv1.ForceRequest) { q.Circuit = "web..chekout" },
		"circuit  ":     func(q *apiv1.ForceRequest) { q.Circuit = strings.Repeat("x", 5000) },
		"instance":      func(q *apiv1.ForceRequest) { q.Instance = "a\nb" },
		"mode":          func(q *apiv1.ForceRequest) { q.Mode = apiv1.Mode_MODE_ENFORCE },
		"mode ":         func(q *apiv1.ForceRequest) { q.Mode = 99 },
		"reason":        func(q *apiv1.ForceRequest) { q.Reason = " " },
		"reason ":       func(q *apiv1.ForceRequest) { q.Reason = "\x1b[31m" },
		"reason  ":      func(q *apiv1.ForceRequest) { q.Reason = strings.Repeat("x", 1025) },
		"time_to_live":  func(q *apiv1.ForceRequest) { q.TimeToLive = nil },
		"time_to_live ": func(q *apiv1.ForceRequest) { q.TimeToLive = durationpb.New(25 * time.Hour) },
		"time_to_live  ": func(q *apiv1.ForceRequest) {
			q.TimeToLive = &durationpb.Duration{Seconds: 1, Nanos: -1}
		},
		"author": func(q *apiv1.ForceRequest) { q.Author = "" },
	} {
		_, err := s.Force(t.Context(), forceOf(change))
		var p *Problem
		if !errors.As(err, &p) || p.Field != strings.TrimSpace(field) || p.Advice == "" || len(p.Value) > maxValue {
			t.Errorf("%q: %v, %+v: want a problem with that field", field, err, p)
		}
	}
	if _, err := s.Force(t.Context(), forceOf(func(q *apiv1.ForceRequest) { q.Circuit, q.AllowUnknown = "app..new", true })); err != nil {
		t.Errorf("an unknown circuit, where that is wanted: %v", err)
	}
}

func TestNobodyChangesAnythingWhereOthersReachTheDaemon(t *testing.T) {
	s, _ := overridesOf(t, false, "web..checkout")
	var errs []error
	_, err := s.Force(t.Context(), forceOf(nil))
	errs = append(errs, err)
	_, err = s.Release(t.Context(), &apiv1.ReleaseRequest{Circuit: "web..checkout", Author: "ada"})
	errs = append(errs, err)
	_, err = s.Pause(t.Context(), &apiv1.PauseRequest{All: true, Author: "ada", Reason: "x", TimeToLive: hour()})
	errs = append(errs, err)
	_, err = s.Resume(t.Context(), &apiv1.ResumeRequest{All: true, Author: "ada"})
	errs = append(errs, err)
	_, err = s.MarkDeployment(t.Context(), &apiv1.MarkDeploymentRequest{Service: "checkout", Version: "v2", Author: "ada"})
	for _, err := range append(errs, err) {
		if connect.CodeOf(err) != connect.CodePermissionDenied {
			t.Errorf("%v: want permission denied", err)
		}
	}
	if _, err := s.Preview(t.Context(), &apiv1.PreviewRequest{Action: &apiv1.PreviewRequest_Force{Force: forceOf(nil)}}); err != nil {
		t.Errorf("reading: %v", err)
	}
}

func TestAPauseNamesANamespaceOrAll(t *testing.T) {
	s, _ := overridesOf(t, true, "web..checkout")
	for _, q := range []*apiv1.PauseRequest{{}, {All: true, Namespace: "shop"}, {Namespace: "a\nb"}, {All: true, TimeToLive: durationpb.New(0)}} {
		q.Author, q.Reason = "ada", "night"
		if q.GetTimeToLive() == nil {
			q.TimeToLive = hour()
		}
		if _, err := s.Pause(t.Context(), q); connect.CodeOf(err) != connect.CodeInvalidArgument {
			t.Errorf("%v: %v", q, err)
		}
	}
	for _, q := range []*apiv1.MarkDeploymentRequest{{Service: "a..b", Version: "v"}, {Service: "", Version: "v"}, {Service: "a#b", Version: "v"}, {Service: "a"}} {
		q.Author = "ci"
		if _, err := s.MarkDeployment(t.Context(), q); connect.CodeOf(err) != connect.CodeInvalidArgument {
			t.Errorf("%v: %v", q, err)
		}
	}
}

func TestAPreviewSaysWhatIsHitAndChangesNothing(t *testing.T) {
	s, k := overridesOf(t, true, "web..checkout", "web..search", "app..ops/ledger")
	r, err := s.Preview(t.Context(), &apiv1.PreviewRequest{Action: &apiv1.PreviewRequest_Force{Force: forceOf(func(q *apiv1.ForceRequest) { q.Circuit = "web..c" })}})
	want := "default/web..default/checkout rejects every call for 1h0m: 1 circuit (0 not closed), 2 replicas, 10.0 calls/s."
	if err != nil || r.GetSentence() != want || r.GetCircuit() != "default/web..default/checkout" {
		t.Errorf("%v\n got %s\nwant %s", err, r.GetSentence(), want)
	}
	if len(k.overrides) != 0 {
		t.Error("a preview was kept")
	}
	k.overrides["default/web..default/checkout@"] = &apiv1.StandingOverride{
		Circuit: "default/web..default/checkout", Mode: apiv1.Mode_MODE_OFF, Author: "bob", Reason: "noise", Revision: 3, Left: hour(),
	}
	r, err = s.Preview(t.Context(), &apiv1.PreviewRequest{Action: &apiv1.PreviewRequest_Force{Force: forceOf(nil)}})
	if err != nil || r.GetOverride().GetRevision() != 3 || !strings.Contains(r.GetSentence(), "It replaces off by bob, which has another 1h0m: noise.") {
		t.Errorf("%v, %v", r, err)
	}
	pause := &apiv1.PauseRequest{All: true, Author: "ada", Reason: "night", TimeToLive: hour()}
	r, err = s.Preview(t.Context(), &apiv1.PreviewRequest{Action: &apiv1.PreviewRequest_Pause{Pause: pause}})
	if err != nil || r.GetCircuits() != 3 || r.GetReplicas() != 4 || r.GetCallsPerSecond() != 30 || !strings.Contains(r.GetSentence(), "everywhere") {
		t.Errorf("%v, %v: want three circuits of four replicas", r, err)
	}
	pause.All, pause.Namespace = false, "ops"
	r, err = s.Preview(t.Context(), &apiv1.PreviewRequest{Action: &apiv1.PreviewRequest_Pause{Pause: pause}})
	if err != nil || r.GetCircuits() != 1 {
		t.Errorf("%v, %v: want that of the namespace", r, err)
	}
	for what, q := range map[string]*apiv1.PreviewRequest{
		"several": {Action: &apiv1.PreviewRequest_Force{Force: forceOf(func(q *apiv1.ForceRequest) { q.Circuit = "web.." })}},
		"nothing": {},
		"no mode": {Action: &apiv1.PreviewRequest_Force{Force: forceOf(func(q *apiv1.ForceRequest) { q.Mode = 0 })}},
	} {
		if _, err := s.Preview(t.Context(), q); connect.CodeOf(err) != connect.CodeInvalidArgument {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestWhatIsLeftIsWithinZeroAndAll(t *testing.T) {
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for gone, want := range map[time.Duration]time.Duration{-time.Hour: time.Minute, 0: time.Minute, 20 * time.Second: 40 * time.Second, time.Hour: 0} {
		if got := LeftOf(at, time.Minute, at.Add(gone)); got != want {
			t.Errorf("after %v: %v, want %v", gone, got, want)
		}
	}
}

func TestReplicasAndEdgesAreToldOfCircuits(t *testing.T) {
	s, _ := overridesOf(t, true, "web..checkout", "web..checkout#pay", "app..ops/ledger")
	f := NewFleet(s.snapshot)
	replicas, err := f.ListReplicas(t.Context(), &apiv1.ListReplicasRequest{})
	if err != nil || replicas.GetTotal() != 4 {
		t.Fatalf("%v, %v", replicas, err)
	}
	if r := replicas.GetReplicas()[2]; r.GetService() != "default/web" || r.GetName() != "1" || r.GetBreakers() != 2 || r.GetOpen() != 1 {
		t.Errorf("%v: want web's first replica with two breakers, one of them open", r)
	}
	if r, err := f.ListReplicas(t.Context(), &apiv1.ListReplicasRequest{Prefix: "app", PageSize: 1}); err != nil || r.GetTotal() != 2 || r.GetNextPageToken() == "" {
		t.Errorf("%v, %v: want a page of app's", r, err)
	}
	edges, err := f.ListEdges(t.Context(), &apiv1.ListEdgesRequest{})
	if err != nil || edges.GetTotal() != 2 {
		t.Fatalf("%v, %v", edges, err)
	}
	if e := edges.GetEdges()[1]; e.GetCaller() != "default/web" || e.GetCallee() != "default/checkout" || e.GetCircuits() != 2 || e.GetCallsPerSecond() != 20 {
		t.Errorf("%v: want the routes of web..checkout together", e)
	}
	if r, err := f.ListEdges(t.Context(), &apiv1.ListEdgesRequest{Namespace: "ops"}); err != nil || r.GetTotal() != 1 {
		t.Errorf("%v, %v", r, err)
	}
}

// What handlers return becomes one kind of error, with the request's id; the text
// of a defect stays in the log.
func TestEveryErrorTellsCodeFieldAdviceAndRequest(t *testing.T) {
	s, k := overridesOf(t, true, "web..checkout")
	var log strings.Builder
	mux := http.NewServeMux()
	requests := connect.WithInterceptors(Requests(slog.New(slog.NewTextHandler(&log, nil))))
	mux.Handle(apiv1connect.NewOverrideServiceHandler(s, requests))
	server := httptest.NewServer(mux)
	defer server.Close()
	c := apiv1connect.NewOverrideServiceClient(server.Client(), server.URL)
	detailOf := func(err error) *apiv1.ErrorDetail {
		var e *connect.Error
		if !errors.As(err, &e) || len(e.Details()) != 1 {
			t.Fatalf("%v: want one detail", err)
		}
		v, err := e.Details()[0].Value()
		d, ok := v.(*apiv1.ErrorDetail)
		if err != nil || !ok || e.Meta().Get(requestHeader) != d.GetRequestId() || d.GetRequestId() == "" || !strings.Contains(log.String(), d.GetRequestId()) {
			t.Fatalf("%v, %v: want the request's id in detail, header and log", err, v)
		}
		return d
	}
	_, err := c.Force(t.Context(), forceOf(func(q *apiv1.ForceRequest) { q.Reason = "" }))
	if d := detailOf(err); connect.CodeOf(err) != connect.CodeInvalidArgument || d.GetCode() != "invalid" || d.GetField() != "reason" || d.GetAdvice() == "" {
		t.Errorf("%v: %v", err, d)
	}
	for _, defect := range []func(){
		func() { k.err = errors.New("secret") },
		func() { k.err = connect.NewError(connect.CodeInternal, errors.New("secret")) },
		func() { k.panics = true },
	} {
		defect()
		_, err = c.Force(t.Context(), forceOf(nil))
		if d := detailOf(err); connect.CodeOf(err) != connect.CodeInternal || d.GetCode() != "internal" || strings.Contains(err.Error(), "secret") || !strings.Contains(err.Error(), d.GetRequestId()) {
			t.Errorf("%v: %v: want an internal error that names the request alone", err, d)
		}
		if !strings.Contains(log.String(), "secret") {
			t.Error("the log does not say what it was")
		}
	}
	k.panics, k.err = false, context.Canceled
	if _, err = c.Force(t.Context(), forceOf(nil)); connect.CodeOf(err) != connect.CodeCanceled {
		t.Errorf("%v: want that the caller has left", err)
	}
	k.panics, k.err = false, connect.NewError(connect.CodeAborted, errors.New("changed meanwhile"))
	_, err = c.Force(t.Context(), forceOf(nil))
	if d := detailOf(err); d.GetCode() != "conflict" || d.GetAdvice() == "" || !strings.Contains(err.Error(), "changed meanwhile") {
		t.Errorf("%v: %v", err, d)
	}
}

func TestACallersRequestIdIsKeptIfItIsOne(t *testing.T) {
	for id, keeps := range map[string]bool{"abc-DEF_9": true, "": false, "a b": false, strings.Repeat("x", 65): false, "a\"b": false} {
		h := http.Header{}
		h.Set(requestHeader, id)
		if got := requestID(h); (got == id) != keeps || got == "" {
			t.Errorf("%q: %q", id, got)
		}
	}
}

func FuzzAskingNeverPanics(f *testing.F) {
	f.Add("web..checkout", "10.0.0.1", "why", "ada", int64(5))
	f.Fuzz(func(t *testing.T, circuit, instance, reason, author string, seconds int64) {
		s, _ := overridesOf(t, true, "web..checkout")
		q := &apiv1.ForceRequest{
			Circuit: circuit, Instance: instance, Mode: apiv1.Mode_MODE_OFF, Reason: reason, Author: author, TimeToLive: &durationpb.Duration{Seconds: seconds},
			AllowUnknown: true,
		}
		r, err := s.Force(t.Context(), q)
		if err != nil {
			return
		}
		if _, err := policy.ParseCircuit(r.GetOverride().GetCircuit()); err != nil {
			t.Error(err)
		}
	})
}
