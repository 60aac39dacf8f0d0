package policybook

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/datapunk/switchgear/internal/rollout"
	"github.com/datapunk/switchgear/policy"
	"github.com/datapunk/switchgear/server/store"
)

var (
	ctx   = context.Background()
	ann   = Who{"ann", "because"}
	webDB = policy.Circuit{Caller: policy.Service{Namespace: "default", Name: "web"}, Callee: policy.Service{Namespace: "default", Name: "db"}}
)

func opened(t *testing.T, kinds ...store.Kind) (*Book, *store.Store) {
	t.Helper()
	if len(kinds) == 0 {
		kinds = []store.Kind{Policies, Rollouts}
	}
	s, err := server.NewServer(&server.Options{ServerName: "t", DontListen: true, NoSigs: true, NoLog: true, JetStream: true, StoreDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	if !s.ReadyForConnections(10 * time.Second) {
		t.Fatal("not ready")
	}
	conn, err := nats.Connect("", nats.InProcessServer(s))
	if err != nil {
		t.Fatal(err)
	}
	js, err := jetstream.New(conn)
	if err != nil {
		t.Fatal(err)
	}
	st, err := store.Open(ctx, js, store.Config{Kinds: kinds})
	if err != nil {
		t.Fatal(err)
	}
	b := Open(st, slog.New(slog.DiscardHandler), func() {})
	t.Cleanup(func() {
		b.Close()
		st.Close()
		conn.Close()
		s.Shutdown()
		s.WaitForShutdown()
	})
	return b, st
}

func doc(name, fields string) Document {
	return Document{name + ".yaml", "# a comment\napiVersion: switchgear/v1\nkind: CircuitPolicy\nmetadata:\n  name: " + name + "\n  labels: {team: t}\nspec:\n  selector: {callee: db}\n" + fields}
}

func apply(t *testing.T, b *Book, a Apply) Outcome {
	t.Helper()
	a.Who = ann
	out, err := b.Apply(ctx, a)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestWhatIsAppliedIsInForceAndExplainedByVersionAndLine(t *testing.T) {
	b, _ := opened(t)
	if out := apply(t, b, Apply{Documents: []Document{doc("p", "  quorum: 3\n")}}); len(out.Changes) != 1 || out.Changes[0].Action != Created || out.Changes[0].Version != 1 {
		t.Errorf("%+v", out)
	}
	if s := b.InForce().Set.Settings(webDB); s.Quorum != 3 {
		t.Errorf("quorum %d: want 3", s.Quorum)
	}
	// The same once more, as JSON too, changes nothing.
	same := Document{"p.json", `{"apiVersion": "switchgear/v1", "kind": "CircuitPolicy", "metadata": {"name": "p", "labels": {"team": "t"}}, "spec": {"selector": {"callee": "db"}, "quorum": 3}}`}
	if out := apply(t, b, Apply{Documents: []Document{same}}); out.Changes[0].Action != Unchanged || out.Changes[0].Version != 1 || out.Changes[0].Diff != "" {
		t.Errorf("%+v", out)
	}
	out := apply(t, b, Apply{Documents: []Document{doc("p", "  quorum: 4\n")}})
	if c := out.Changes[0]; c.Action != Configured || c.Version != 2 || !strings.Contains(c.Diff, "-  quorum: 3\n+  quorum: 4\n") {
		t.Errorf("%+v", c)
	}
	for _, f := range b.InForce().Set.Explain(webDB).Fields {
		if f.Field == "quorum" && f.Origin.String() != "policy p (p@2:10)" {
			t.Errorf("origin %s: want the version and line", f.Origin)
		}
	}
}

func TestWhatIsWrongIsSaidAtOnceAndNothingIsWritten(t *testing.T) {
	b, _ := opened(t)
	_, err := b.Apply(ctx, Apply{Who: ann, Documents: []Document{doc("good", "  quorum: 3\n"), doc("bad", "  quorom: 3\n  openAbove: 0\n")}})
	var problems *policy.Problems
	if !errors.As(err, &problems) || len(problems.List) != 2 || problems.List[0].File != "bad.yaml" || problems.List[1].Line != 10 {
		t.Errorf("%v: want both problems with file and line", err)
	}
	var text *TextError
	if _, err := b.Plan(Apply{Documents: []Document{{"x.yaml", "a: &x 1\n"}, {"y.json", "{"}}}); !errors.As(err, &text) || !strings.Contains(err.Error(), "anchors") || !strings.Contains(err.Error(), "y.json") {
		t.Errorf("%v: want what can't be read of both", err)
	}
	labelled := doc("l", "  quorum: 3\n")
	labelled.Text = strings.Replace(labelled.Text, "{callee: db}", "{labels: {zone: a}}", 1)
	if _, err := b.Plan(Apply{Documents: []Document{labelled}}); !errors.As(err, &problems) || !strings.Contains(err.Error(), "labels of processes") {
		t.Errorf("%v: want that labels are not known", err)
	}
	if n := len(b.List("", nil)); n != 0 {
		t.Errorf("%d policies stored: want none", n)
	}
	var limit *store.LimitError
	if _, err := b.Plan(Apply{Documents: make([]Document, maxDocuments+1)}); !errors.As(err, &limit) {
		t.Errorf("%v: want a limit", err)
	}
	long := doc("long", "  quorum: 3\n")
	long.Text = strings.Replace(long.Text, "callee: db", "callee: db, route: \""+strings.Repeat("x", 100)+"\"", 1) + "  hosts: [" + strings.Repeat("\"a.example\", ", 6000) + "\"b.example\"]\n"
	if _, err := b.Plan(Apply{Documents: []Document{long}}); err == nil {
		t.Error("a document of 70 kB was taken")
	}
}

func TestPruneDeletesWhatStandsInNoDocumentAndHasTheLabels(t *testing.T) {
	b, _ := opened(t)
	other := doc("other", "  quorum: 3\n")
	other.Text = strings.Replace(other.Text, "team: t", "team: u", 1)
	apply(t, b, Apply{Documents: []Document{doc("a", "  quorum: 3\n"), doc("b", "  quorum: 3\n"), other}})
	prune := Apply{Documents: []Document{doc("a", "  quorum: 3\n")}, Prune: map[string]string{"team": "t"}}
	plan, err := b.Plan(prune)
	if err != nil || len(plan.Changes) != 2 || plan.Changes[1].Action != Deleted || len(b.List("", nil)) != 3 {
		t.Fatalf("%+v, %v: want that b would be deleted, and nothing done", plan, err)
	}
	apply(t, b, prune)
	if all := b.List("", nil); len(all) != 2 || all[0].Name != "a" || all[1].Name != "other" {
		t.Errorf("%+v", all)
	}
	if all := b.List("", map[string]string{"team": "u"}); len(all) != 1 {
		t.Errorf("%+v: want other alone", all)
	}
}

func TestARollbackIsOneStepAndComesBackFromADeletion(t *testing.T) {
	b, _ := opened(t)
	for _, quorum := range []string{"3", "4", "5"} {
		apply(t, b, Apply{Documents: []Document{doc("p", "  quorum: "+quorum+"\n")}})
	}
	quorum := func() int { return b.InForce().Set.Settings(webDB).Quorum }
	if c, err := b.Rollback(ctx, "p", 0, store.Any, ann); err != nil || c.Version != 4 || quorum() != 4 {
		t.Errorf("%+v, %v, quorum %d: want version 4 with quorum 4", c, err, quorum())
	}
	if c, err := b.Rollback(ctx, "p", 1, 4, ann); err != nil || c.Version != 5 || quorum() != 3 {
		t.Errorf("%+v, %v, quorum %d: want version 5 with quorum 3", c, err, quorum())
	}
	var conflict *store.ConflictError
	if _, err := b.Rollback(ctx, "p", 1, 4, ann); !errors.As(err, &conflict) {
		t.Errorf("%v: want a conflict", err)
	}
	if _, err := b.Rollback(ctx, "p", 77, store.Any, ann); !errors.Is(err, ErrNothing) || !strings.Contains(err.Error(), "1 to 5") {
		t.Errorf("%v: want which there are", err)
	}
	if _, err := b.Delete(ctx, "p", 5, ann); err != nil || quorum() != 2 {
		t.Fatalf("%v, quorum %d", err, quorum())
	}
	if c, err := b.Rollback(ctx, "p", 0, store.Any, ann); err != nil || c.Version != 7 || quorum() != 3 {
		t.Errorf("%+v, %v, quorum %d: want it back", c, err, quorum())
	}
}

func TestAConflictEndsAnApplyAndSaysWhatStands(t *testing.T) {
	b, _ := opened(t)
	apply(t, b, Apply{Documents: []Document{doc("b", "  quorum: 3\n")}})
	_, err := b.Apply(ctx, Apply{Who: ann, Documents: []Document{doc("a", "  quorum: 3\n"), doc("b", "  quorum: 4\n")}, Expect: map[string]uint64{"b": 7}})
	var part *PartError
	var conflict *store.ConflictError
	if !errors.As(err, &part) || !errors.As(err, &conflict) || len(part.Done) != 1 || conflict.Current.Version != 1 {
		t.Errorf("%v: want a conflict after one of two", err)
	}
}

func TestTheLifeOfARollout(t *testing.T) {
	b, _ := opened(t)
	apply(t, b, Apply{Documents: []Document{doc("p", "  quorum: 3\n")}})
	change := Apply{Who: ann, Documents: []Document{doc("p", "  quorum: 9\n")}}
	r, err := b.Start(ctx, change, rollout.Usual())
	if err != nil {
		t.Fatal(err)
	}
	quorums := func() (inForce, beside int) {
		e := b.InForce()
		return e.Set.Settings(webDB).Quorum, e.Beside.Settings(webDB).Quorum
	}
	b.compile()
	if now, then := quorums(); now != 3 || then != 9 {
		t.Errorf("%d in force, %d tried: want 3 and 9", now, then)
	}
	if _, err := b.Start(ctx, change, rollout.Usual()); !errors.Is(err, ErrBusy) {
		t.Errorf("%v: want that one is under way", err)
	}
	latest := func() *Rollout {
		t.Helper()
		r, err := b.RolloutOf("p")
		if err != nil {
			t.Fatal(err)
		}
		b.compile()
		return r
	}
	if err := b.Advance(ctx, r, rollout.Canary, "passed", rollout.Numbers{}); err != nil {
		t.Fatal(err)
	}
	// Another daemon that has not heard of it changes nothing.
	var conflict *store.ConflictError
	if err := b.Advance(ctx, r, rollout.RolledBack, "bad", rollout.Numbers{}); !errors.As(err, &conflict) {
		t.Errorf("%v: want a conflict", err)
	}
	if err := b.Advance(ctx, latest(), rollout.Enforce, "passed", rollout.Numbers{}); err != nil {
		t.Fatal(err)
	}
	r = latest()
	if now, before := quorums(); now != 9 || before != 3 || r.Written != 2 || len(r.Passed) != 2 {
		t.Errorf("%d in force, %d before, %+v: want 9 and 3, and version 2 written", now, before, r)
	}
	if err := b.Advance(ctx, r, rollout.RolledBack, "it blocks 5 % of good calls", rollout.Numbers{}); err != nil {
		t.Fatal(err)
	}
	b.compile()
	got, err := b.Get("p")
	if q := b.InForce().Set.Settings(webDB).Quorum; q != 3 || err != nil || got.Version != 3 || !strings.Contains(got.Reason, "5 % of good calls") {
		t.Errorf("quorum %d, %+v, %v: want what was before, with the reason", q, got, err)
	}
	if left := b.Unsettled(); len(left) != 0 || b.InForce().Rollout != nil {
		t.Errorf("%+v is left to be done", left)
	}
}

// A daemon that ends between two writes leaves nothing half done.
func TestWhatWasLeftHalfDoneIsSettled(t *testing.T) {
	b, _ := opened(t)
	change := Apply{Who: ann, Documents: []Document{doc("p", "  quorum: 9\n")}}
	r, err := b.Start(ctx, change, rollout.Usual())
	if err != nil {
		t.Fatal(err)
	}
	r.Stage = rollout.Enforce
	if err := b.save(ctx, r); err != nil {
		t.Fatal(err)
	}
	settle := func() *Rollout {
		t.Helper()
		for _, r := range b.Unsettled() {
			if err := b.Settle(ctx, r); err != nil {
				t.Fatal(err)
			}
		}
		r, err := b.RolloutOf("p")
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	r = settle()
	if got, err := b.Get("p"); err != nil || r.Written != got.Version {
		t.Errorf("%+v, %v: want it written", r, err)
	}
	settle() // once more changes nothing
	if got, _ := b.Get("p"); got.Version != 1 {
		t.Errorf("version %d: want 1", got.Version)
	}
	r.Stage = rollout.RolledBack
	if err := b.save(ctx, r); err != nil {
		t.Fatal(err)
	}
	if r = settle(); !r.Settled {
		t.Errorf("%+v", r)
	}
	if _, err := b.Get("p"); err == nil {
		t.Error("what began with a rollout is still there")
	}
}

func TestAChangeByOthersEndsARollout(t *testing.T) {
	b, _ := opened(t)
	if _, err := b.Start(ctx, Apply{Who: ann, Documents: []Document{doc("p", "  quorum: 9\n")}}, rollout.Usual()); err != nil {
		t.Fatal(err)
	}
	apply(t, b, Apply{Documents: []Document{doc("p", "  quorum: 5\n")}})
	for _, r := range b.Unsettled() {
		if err := b.Settle(ctx, r); err != nil {
			t.Fatal(err)
		}
	}
	if r, err := b.RolloutOf("p"); err != nil || r.Stage != rollout.RolledBack || !strings.Contains(r.Why, "meanwhile") {
		t.Errorf("%+v, %v", r, err)
	}
	if q := b.InForce().Set.Settings(webDB).Quorum; q != 5 {
		t.Errorf("quorum %d: want 5", q)
	}
	if _, err := b.Abort(ctx, "p", ann, rollout.Numbers{}); !errors.Is(err, store.ErrInvalid) {
		t.Errorf("%v: want that it has ended", err)
	}
}

func TestEndedRolloutsAreForgottenWhereThereAreManyAndKeepNoTexts(t *testing.T) {
	fast := Rollouts
	fast.WritesPerSecond, fast.Burst = 1e6, 1e6
	b, st := opened(t, Policies, fast)
	began := time.Now().Add(-time.Hour)
	for i := range maxEnded + 3 {
		r := &Rollout{
			Policy: fmt.Sprintf("p%d", i), Plan: rollout.Usual(), Stage: rollout.Done, Settled: true, Author: "ann",
			Began: began.Add(time.Duration(i) * time.Second), Candidate: "text", Before: "text",
		}
		if err := b.save(ctx, r); err != nil {
			t.Fatal(err)
		}
	}
	b.forget(ctx)
	if n := len(b.Rollouts()); n != maxEnded {
		t.Errorf("%d rollouts are kept: want %d", n, maxEnded)
	}
	if _, err := b.RolloutOf("p0"); err == nil {
		t.Error("the oldest one is kept")
	}
	if record, _ := st.Get(Rollouts.Name, "p99"); strings.Contains(string(record.Body), "text") {
		t.Errorf("%s: want no texts", record.Body)
	}
}

// What it costs to put ten thousand policies in force after one has changed.
func BenchmarkCompileTenThousand(b *testing.B) {
	s := &fixed{}
	for i := range policy.MaxPolicies {
		name := fmt.Sprintf("p%05d", i)
		s.records = append(s.records, store.Record{Kind: Policies.Name, Name: name, Version: 1, Body: []byte(strings.Replace(doc(name, "  quorum: 3\n").Text, "callee: db", "callee: "+name, 1))})
	}
	book := Open(s, slog.New(slog.DiscardHandler), func() {})
	defer book.Close()
	for b.Loop() {
		s.records[0].Version++
		book.compile()
	}
}

// fixed is a register of what it is given.
type fixed struct {
	register
	records []store.Record
}

func (f *fixed) List(kind string) []store.Record {
	if kind != Policies.Name {
		return nil
	}
	return f.records
}
func (f *fixed) Watch(string, func(store.Record)) (stop func()) { return func() {} }
