package bus

import (
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"

	linkv1 "github.com/datapunk/switchgear/link/gen/switchgear/link/v1"
	busv1 "github.com/datapunk/switchgear/server/gen/switchgear/bus/v1"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func open(t *testing.T, dir string) *Bus {
	t.Helper()
	b, err := Open(dir, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	return b
}

func TestEvidenceArrivesInOrder(t *testing.T) {
	b := open(t, t.TempDir())
	got := make(chan uint64, 1000)
	stop, err := b.SubscribeEvidence(func(e *busv1.Evidence) { got <- e.GetReport().GetSequence() })
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	for i := range uint64(1000) {
		e := &busv1.Evidence{Event: &busv1.Evidence_Report{Report: &linkv1.Report{Sequence: i}}}
		if err := b.PublishEvidence(e); err != nil {
			t.Fatal(err)
		}
	}
	for i := range uint64(1000) {
		select {
		case n := <-got:
			if n != i {
				t.Fatalf("report %d in place %d", n, i)
			}
		case <-time.After(10 * time.Second):
			t.Fatalf("report %d is missing", i)
		}
	}
}

func TestOrdersReachEachSubscriber(t *testing.T) {
	b := open(t, t.TempDir())
	got := make(chan string, 2)
	for range 2 {
		stop, err := b.SubscribeOrders(func(o *busv1.Orders) { got <- o.GetOrders()[0].GetTo().GetName() })
		if err != nil {
			t.Fatal(err)
		}
		defer stop()
	}
	if err := b.PublishOrders(&busv1.Orders{Orders: []*busv1.Order{{To: &linkv1.Replica{Name: "web-1"}}}}); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		select {
		case n := <-got:
			if n != "web-1" {
				t.Errorf("orders for %q", n)
			}
		case <-time.After(10 * time.Second):
			t.Fatal("orders are missing")
		}
	}
}

func TestAStoreThatCantBeUsedIsSaid(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	b, err := Open(filepath.Join(file, "bus"), slog.New(slog.DiscardHandler))
	if err == nil {
		b.Close()
		t.Fatal("a bus in a folder that can't be made")
	}
}

func TestAClosedBusSaysSo(t *testing.T) {
	b := open(t, t.TempDir())
	if err := b.Err(); err != nil {
		t.Error(err)
	}
	b.Close()
	if b.Err() == nil || b.PublishOrders(&busv1.Orders{}) == nil {
		t.Error("a closed bus takes messages")
	}
}
