package app

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/datapunk/switchgear"
	"github.com/datapunk/switchgear/breaker"
	"github.com/datapunk/switchgear/link"
	apiv1 "github.com/datapunk/switchgear/server/gen/switchgear/api/v1"
	"github.com/datapunk/switchgear/server/gen/switchgear/api/v1/apiv1connect"
)

// operator asks a daemon as people do.
type operator struct {
	apiv1connect.OverrideServiceClient
	circuits apiv1connect.CircuitServiceClient
}

func operatorOf(t *testing.T, a *App) operator {
	t.Helper()
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	c, url := &http.Client{Transport: transport}, "http://"+a.Address()
	return operator{apiv1connect.NewOverrideServiceClient(c, url), apiv1connect.NewCircuitServiceClient(c, url)}
}

func forced(ttl time.Duration) *apiv1.ForceRequest {
	return &apiv1.ForceRequest{
		Circuit: "web..checkout", Mode: apiv1.Mode_MODE_FORCED_OPEN, Author: "ada", Reason: "migration", TimeToLive: durationpb.New(ttl),
	}
}

// guarded is a replica with a breaker that the daemon knows.
func guarded(t *testing.T, a *App, replica string) *switchgear.Breaker {
	t.Helper()
	m := manager(t, "web", replica)
	l, err := link.Connect(m, "http://"+a.Address())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	b := m.Breaker(switchgear.Key{Callee: "checkout"})
	call(b)
	eventually(t, replica+" is known", func() bool {
		for _, v := range a.owner.snapshot().Circuits {
			for _, r := range v.Replicas {
				if r.Replica.Name == replica {
					return true
				}
			}
		}
		return false
	})
	return b
}

func call(b *switchgear.Breaker) error {
	p, err := b.Acquire()
	if err == nil {
		p.Done(switchgear.Outcome{Verdict: breaker.Success})
	}
	return err
}

// rejects reports whether a person has the breaker reject its calls.
func rejects(b *switchgear.Breaker) bool { return errors.Is(call(b), breaker.ErrForced) }

func TestAForcedCircuitRejectsEverywhereAndEndsOnTimeWithoutItsDaemon(t *testing.T) {
	a, stop := running(t, nil)
	one, two := guarded(t, a, "web-1"), guarded(t, a, "web-2")
	const ttl = 3 * time.Second
	began := time.Now()
	r, err := operatorOf(t, a).Force(t.Context(), forced(ttl))
	if err != nil || r.GetOverride().GetRevision() != 1 || r.GetOverride().GetState() != apiv1.State_STATE_CLOSED {
		t.Fatalf("%v, %v: want revision 1, and the calculated state beside", r, err)
	}
	eventually(t, "both reject", func() bool { return rejects(one) && rejects(two) })
	stop()
	eventually(t, "it has ended by itself", func() bool { return call(one) == nil && call(two) == nil })
	if took := time.Since(began); took < ttl-time.Second || took > ttl+time.Second {
		t.Errorf("it stood for %v: want %v, within a second", took, ttl)
	}
}

func TestARestartedDaemonKnowsOverridesPausesAndMarkers(t *testing.T) {
	dir := t.TempDir()
	a, stop := running(t, func(c *Config) { c.Data = dir })
	q := forced(time.Hour)
	q.AllowUnknown, q.Instance = true, "10.0.0.7:80"
	o := operatorOf(t, a)
	if _, err := o.Force(t.Context(), q); err != nil {
		t.Fatal(err)
	}
	q.Instance = ""
	if _, err := o.Force(t.Context(), q); err != nil {
		t.Fatal(err)
	}
	hour := durationpb.New(time.Hour)
	if _, err := o.Pause(t.Context(), &apiv1.PauseRequest{All: true, Reason: "night", Author: "ada", TimeToLive: hour}); err != nil {
		t.Fatal(err)
	}
	if _, err := o.Pause(t.Context(), &apiv1.PauseRequest{Namespace: "default", Reason: "night", Author: "ada", TimeToLive: hour}); err != nil {
		t.Fatal(err)
	}
	if _, err := o.Resume(t.Context(), &apiv1.ResumeRequest{Namespace: "default", Author: "bob"}); err != nil {
		t.Fatal(err)
	}
	if _, err := o.MarkDeployment(t.Context(), &apiv1.MarkDeploymentRequest{Service: "checkout", Version: "v2", Author: "ci"}); err != nil {
		t.Fatal(err)
	}
	stop()

	b, _ := running(t, func(c *Config) { c.Data = dir })
	o = operatorOf(t, b)
	list, err := o.ListOverrides(t.Context(), &apiv1.ListOverridesRequest{})
	if err != nil || list.GetTotal() != 2 {
		t.Fatalf("%v, %v: want both overrides", list, err)
	}
	first := list.GetOverrides()[0]
	if first.GetAuthor() != "ada" || first.GetReason() != "migration" || first.GetInstance() != "" || first.GetMode() != apiv1.Mode_MODE_FORCED_OPEN ||
		first.GetLeft().AsDuration() > time.Hour || first.GetLeft().AsDuration() < 59*time.Minute {
		t.Errorf("%v", first)
	}
	pauses, err := o.ListPauses(t.Context(), &apiv1.ListPausesRequest{})
	if err != nil || len(pauses.GetPauses()) != 1 || pauses.GetPauses()[0].GetNamespace() != "" {
		t.Errorf("%v, %v: want the pause of all, and not the one that was resumed", pauses, err)
	}
	if breaker := guarded(t, b, "web-9"); true {
		eventually(t, "a new replica rejects", func() bool { return rejects(breaker) })
	}
	eventually(t, "the marker is told", func() bool {
		r, err := o.circuits.GetCircuit(t.Context(), &apiv1.GetCircuitRequest{Name: "web..checkout"})
		return err == nil && r.GetCircuit().GetMode() == apiv1.Mode_MODE_FORCED_OPEN && strings.Contains(r.GetSentence(), "version v2, by ci")
	})
}

func TestChangesNameTheRevisionThatTheyWereMadeFrom(t *testing.T) {
	a, _ := running(t, nil)
	o := operatorOf(t, a)
	q := forced(time.Hour)
	q.AllowUnknown = true
	if _, err := o.Force(t.Context(), q); err != nil {
		t.Fatal(err)
	}
	_, err := o.Force(t.Context(), q)
	if connect.CodeOf(err) != connect.CodeAborted || !strings.Contains(err.Error(), "revision 1") || !strings.Contains(err.Error(), "ada") {
		t.Errorf("%v: want a conflict that names revision and author", err)
	}
	q.ExpectedRevision, q.Mode = 1, apiv1.Mode_MODE_OFF
	r, err := o.Force(t.Context(), q)
	if err != nil || r.GetOverride().GetRevision() != 2 {
		t.Fatalf("%v, %v: want revision 2", r, err)
	}
	release := &apiv1.ReleaseRequest{Circuit: "web..checkout", Author: "bob", ExpectedRevision: 1}
	if _, err := o.Release(t.Context(), release); connect.CodeOf(err) != connect.CodeAborted {
		t.Errorf("%v: want a conflict", err)
	}
	release.ExpectedRevision = 0
	if _, err := o.Release(t.Context(), release); err != nil {
		t.Error(err)
	}
	if _, err := o.Release(t.Context(), release); connect.CodeOf(err) != connect.CodeNotFound {
		t.Errorf("%v: want not found", err)
	}
	q.ExpectedRevision = 0
	if _, err := o.Force(t.Context(), q); err != nil {
		t.Errorf("%v: want that what was released is none", err)
	}
}

func TestAnOverrideThatHasEndedIsNoneAndIsReplaced(t *testing.T) {
	a, _ := running(t, nil)
	o := operatorOf(t, a)
	q := forced(time.Second)
	q.AllowUnknown = true
	if _, err := o.Force(t.Context(), q); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it has ended", func() bool {
		r, err := o.ListOverrides(t.Context(), &apiv1.ListOverridesRequest{})
		return err == nil && r.GetTotal() == 0
	})
	if _, err := o.Force(t.Context(), q); err != nil {
		t.Errorf("%v: want it taken as if there were none", err)
	}
}

// What one daemon takes another one obeys, whichever of them owns the callee.
func TestAnOrderReachesTheOwnerWhicheverDaemonTakesIt(t *testing.T) {
	apps, _ := peersOf(t, 2)
	b := guarded(t, apps[0], "web-1")
	eventually(t, "both know each other", func() bool { return apps[0].owner.live.Load() == 2 && apps[1].owner.live.Load() == 2 })
	for i, a := range apps {
		o := operatorOf(t, a)
		eventually(t, "the circuit is known", func() bool {
			r, err := o.circuits.ListCircuits(t.Context(), &apiv1.ListCircuitsRequest{})
			return err == nil && r.GetTotal() == 1
		})
		if _, err := o.Force(context.Background(), forced(time.Hour)); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the replica rejects", func() bool { return rejects(b) })
		other := operatorOf(t, apps[1-i])
		eventually(t, "the other daemon releases it", func() bool {
			_, err := other.Release(t.Context(), &apiv1.ReleaseRequest{Circuit: "web..checkout", Author: "bob", Reason: "done"})
			return err == nil
		})
		eventually(t, "the replica is free", func() bool { return !rejects(b) })
	}
}
