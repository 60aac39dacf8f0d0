package store

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var usual = Kind{Name: "policy", MaxRecords: 100, MaxBody: 1000, MaxTotal: 5000, WritesPerSecond: 1000, Burst: 1000}

// running is a server on a directory, as the daemon has it, which stop ends.
func running(tb testing.TB, dir string) (js jetstream.JetStream, stop func()) {
	tb.Helper()
	return serving(tb, dir, true)
}

func serving(tb testing.TB, dir string, always bool) (js jetstream.JetStream, stop func()) {
	tb.Helper()
	s, err := server.NewServer(&server.Options{ServerName: "t", DontListen: true, NoSigs: true, NoLog: true, JetStream: true, StoreDir: dir, SyncAlways: always})
	if err != nil {
		tb.Fatal(err)
	}
	s.Start()
	if !s.ReadyForConnections(10 * time.Second) {
		tb.Fatal("not ready")
	}
	conn, err := nats.Connect("", nats.InProcessServer(s))
	if err != nil {
		tb.Fatal(err)
	}
	if js, err = jetstream.New(conn); err != nil {
		tb.Fatal(err)
	}
	once := sync.OnceFunc(func() {
		conn.Close()
		s.Shutdown()
		s.WaitForShutdown()
	})
	tb.Cleanup(once)
	return js, once
}

func open(tb testing.TB, js jetstream.JetStream, kinds ...Kind) *Store {
	tb.Helper()
	if len(kinds) == 0 {
		kinds = []Kind{usual}
	}
	s, err := Open(context.Background(), js, Config{Kinds: kinds, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(s.Close)
	return s
}

func put(tb testing.TB, s *Store, name, body string, expect uint64) Record {
	tb.Helper()
	r, err := s.Put(context.Background(), Change{Kind: "policy", Name: name, Body: []byte(body), Author: "ann", Reason: "because", Expect: expect})
	if err != nil {
		tb.Fatal(err)
	}
	return r
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for deadline := time.After(10 * time.Second); !ok(); {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("not within 10 s: %s", what)
		}
	}
}

func TestWhatWasAcknowledgedIsThereAfterARestart(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "bus")
	js, stop := running(t, dir)
	s := open(t, js)
	put(t, s, "a", "one", 0)
	put(t, s, "a", "two", 1)
	put(t, s, "ns/b*é", "three", 0)
	if _, err := s.Delete(context.Background(), Change{Kind: "policy", Name: "ns/b*é", Author: "bob", Expect: 1}); err != nil {
		t.Fatal(err)
	}
	s.Close()
	stop()
	js, _ = running(t, dir)
	s = open(t, js)
	r, ok := s.Get("policy", "a")
	if !ok || r.Version != 2 || string(r.Body) != "two" || r.Author != "ann" || r.Reason != "because" || time.Since(r.At) > time.Minute {
		t.Errorf("%+v, %v: want the second version", r, ok)
	}
	if _, ok := s.Get("policy", "ns/b*é"); ok {
		t.Error("a deleted record has come back")
	}
	// Its numbering goes on.
	if r := put(t, s, "ns/b*é", "four", 0); r.Version != 3 {
		t.Errorf("version %d after a deletion: want 3", r.Version)
	}
	h, err := s.History(context.Background(), "policy", "ns/b*é")
	if err != nil || len(h) != 3 || h[0].Version != 3 || !h[1].Deleted || h[1].Author != "bob" || string(h[2].Body) != "three" {
		t.Errorf("%+v, %v: want three versions, the last one first", h, err)
	}
}

func TestAChangeFromAnotherVersionIsAConflict(t *testing.T) {
	js, _ := running(t, t.TempDir())
	s := open(t, js)
	put(t, s, "a", "one", 0)
	for _, expect := range []uint64{0, 2, 7} {
		_, err := s.Put(context.Background(), Change{Kind: "policy", Name: "a", Expect: expect})
		var e *ConflictError
		if !errors.As(err, &e) || e.Current.Version != 1 || string(e.Current.Body) != "one" {
			t.Errorf("expecting %d: %v: want a conflict that shows version 1", expect, err)
		}
	}
	_, err := s.Put(context.Background(), Change{Kind: "policy", Name: "none", Expect: 1})
	var e *ConflictError
	if !errors.As(err, &e) || e.Current.Version != 0 || !strings.Contains(err.Error(), "there is none") {
		t.Errorf("%v: want a conflict with nothing", err)
	}
	if r := put(t, s, "a", "two", Any); r.Version != 2 {
		t.Errorf("version %d: want 2", r.Version)
	}
	var none *NotFoundError
	if _, err := s.Delete(context.Background(), Change{Kind: "policy", Name: "none", Expect: Any}); !errors.As(err, &none) {
		t.Errorf("%v: want that there is none", err)
	}
}

// Of those who change the same version at once, over two daemons, one wins, and
// no version is given twice.
func TestOfChangesAtOnceOneWins(t *testing.T) {
	js, _ := running(t, t.TempDir())
	stores := []*Store{open(t, js), open(t, js)}
	for round := range uint64(10) {
		var wins, conflicts int
		var mu sync.Mutex
		var all sync.WaitGroup
		for i := range 8 {
			all.Go(func() {
				_, err := stores[i%2].Put(context.Background(), Change{Kind: "policy", Name: "a", Body: []byte{byte(i)}, Expect: round})
				var e *ConflictError
				mu.Lock()
				defer mu.Unlock()
				switch {
				case err == nil:
					wins++
				case errors.As(err, &e):
					conflicts++
				default:
					t.Error(err)
				}
			})
		}
		all.Wait()
		if wins != 1 || conflicts != 7 {
			t.Fatalf("round %d: %d won, %d conflicts: want 1 and 7", round, wins, conflicts)
		}
	}
}

func TestEveryDaemonsCopyFollows(t *testing.T) {
	js, _ := running(t, t.TempDir())
	one, two := open(t, js), open(t, js)
	put(t, one, "a", "one", 0)
	if _, ok := one.Get("policy", "a"); !ok {
		t.Error("who has written does not read it")
	}
	eventually(t, "the other one's copy has it", func() bool { _, ok := two.Get("policy", "a"); return ok })
	put(t, two, "b", "two", 0)
	eventually(t, "and back", func() bool { return len(one.List("policy")) == 2 })
	if all := one.List("policy"); all[0].Name != "a" || all[1].Name != "b" {
		t.Errorf("%+v: want them by name", all)
	}
}

func TestAWatcherIsToldOfAllInOrder(t *testing.T) {
	js, _ := running(t, t.TempDir())
	s := open(t, js)
	put(t, s, "b", "x", 0)
	put(t, s, "a", "x", 0)
	var mu sync.Mutex
	var heard []string
	hold := make(chan struct{})
	stop := s.Watch("policy", func(r Record) {
		<-hold
		mu.Lock()
		defer mu.Unlock()
		heard = append(heard, fmt.Sprintf("%s%d %v", r.Name, r.Version, r.Deleted))
	})
	put(t, s, "c", "x", 0)
	put(t, s, "c", "x", 1)
	if _, err := s.Delete(context.Background(), Change{Kind: "policy", Name: "a", Expect: Any}); err != nil {
		t.Fatal(err)
	}
	close(hold)
	eventually(t, "the deletion is told", func() bool { mu.Lock(); defer mu.Unlock(); return slices.Contains(heard, "a2 true") })
	stop()
	// Between the first look and what came meanwhile, a version may be replaced by
	// a later one; none is told twice or out of order.
	mu.Lock()
	defer mu.Unlock()
	text := strings.Join(heard, ", ")
	if text != "a1 false, b1 false, c2 false, a2 true" && text != "b1 false, c2 false, a2 true" && text != "a1 false, b1 false, c1 false, c2 false, a2 true" {
		t.Errorf("heard %s", text)
	}
}

func TestBoundsAreSaid(t *testing.T) {
	js, _ := running(t, t.TempDir())
	small := Kind{Name: "policy", MaxRecords: 2, MaxBody: 10, MaxTotal: 15, WritesPerSecond: 0.001, Burst: 4}
	s := open(t, js, small)
	ctx := context.Background()
	try := func(name, body string) error {
		_, err := s.Put(ctx, Change{Kind: "policy", Name: name, Body: []byte(body), Expect: Any})
		return err
	}
	put(t, s, "a", "1234567890", 0)
	for want, err := range map[string]error{
		`"b" has 11 bytes: at most 10`:                 try("b", "12345678901"),
		"all together would have 16 bytes: at most 15": try("b", "123456"),
		`there is no kind "other"`:                     func() error { _, err := s.Put(ctx, Change{Kind: "other", Name: "a"}); return err }(),
		"has a name":                                   try("", ""),
		"name of 1025 bytes: at most 1024":             try(strings.Repeat("x", 1025), ""),
		"reason of 1025 bytes: at most 1024": func() error {
			_, err := s.Put(ctx, Change{Kind: "policy", Name: "a", Reason: strings.Repeat("x", 1025)})
			return err
		}(),
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: want %q", err, want)
		}
	}
	put(t, s, "a", "1", 1) // what it replaces does not count
	put(t, s, "b", "1", 0)
	var limit *LimitError
	if err := try("c", "1"); !errors.As(err, &limit) || limit.RetryAfter != 0 || !strings.Contains(err.Error(), "there are 2 already") {
		t.Errorf("%v: want that there are 2 already", err)
	}
	put(t, s, "b", "2", 1)
	if err := try("b", "3"); !errors.As(err, &limit) || limit.RetryAfter <= 0 || !strings.Contains(err.Error(), "writes a second") {
		t.Errorf("%v: want when to try again", err)
	}
}

func TestHistoryIsBoundedAndKeepsTheLast(t *testing.T) {
	js, _ := running(t, t.TempDir())
	s := open(t, js)
	for i := range uint64(History + 6) {
		put(t, s, "a", fmt.Sprint(i+1), i)
	}
	h, err := s.History(context.Background(), "policy", "a")
	if err != nil || len(h) != History || h[0].Version != History+6 || h[History-1].Version != 7 {
		t.Errorf("%d versions, %v: want the last %d", len(h), err, History)
	}
	var none *NotFoundError
	if _, err := s.History(context.Background(), "policy", "none"); !errors.As(err, &none) {
		t.Errorf("%v: want that there is none", err)
	}
}

// A store that is gone is noticed: reads go on, and say how old they are; changes
// are refused.
func TestWithoutTheStoreReadsGoOn(t *testing.T) {
	js, stop := running(t, t.TempDir())
	s := open(t, js)
	put(t, s, "a", "one", 0)
	if age := s.Age(); age > 5*time.Second {
		t.Errorf("age %v of a store that answers", age)
	}
	stop()
	if _, ok := s.Get("policy", "a"); !ok {
		t.Error("a read needs the store")
	}
	if _, err := s.Put(context.Background(), Change{Kind: "policy", Name: "b", Expect: 0}); !errors.Is(err, ErrUnavailable) {
		t.Errorf("%v: want that the store does not answer", err)
	}
	before := s.Age()
	eventually(t, "it grows older", func() bool { return s.Age() > before })
}

func TestWhatIsDamagedIsNotServed(t *testing.T) {
	js, _ := running(t, t.TempDir())
	s := open(t, js)
	put(t, s, "a", "one", 0)
	for _, data := range []string{"", "{", `{"version":0}`, `{"version":1,"body":3}`} {
		if _, err := s.kv.Put(context.Background(), key("policy", "bad"), []byte(data)); err != nil {
			t.Fatal(err)
		}
	}
	again := open(t, js)
	if all := again.List("policy"); len(all) != 1 {
		t.Errorf("%+v: want what is well alone", all)
	}
	if _, err := again.Put(context.Background(), Change{Kind: "policy", Name: "bad", Expect: Any}); err == nil || !strings.Contains(err.Error(), "damaged") {
		t.Errorf("%v: want that it is damaged", err)
	}
}

// entry is what stands in the store, whoever has written it.
type entry struct {
	jetstream.KeyValueEntry
	key   string
	value []byte
}

func (e *entry) Key() string      { return e.key }
func (e *entry) Value() []byte    { return e.value }
func (e *entry) Revision() uint64 { return 7 }

func FuzzDecode(f *testing.F) {
	good, err := encode(&Record{Version: 3, Author: "ann", Body: []byte("x"), At: time.Unix(1, 0)})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(key("policy", "ns/näme"), good)
	f.Add("policy", []byte("{}"))
	f.Add("policy.!", good)
	f.Fuzz(func(t *testing.T, k string, value []byte) {
		r, err := decode(&entry{key: k, value: value})
		if err != nil {
			return
		}
		if r.Version == 0 || r.revision != 7 {
			t.Errorf("%+v was taken", r)
		}
		data, err := encode(&r)
		if err != nil {
			return // a time that no calendar has
		}
		again, err := decode(&entry{key: key(r.Kind, r.Name), value: data})
		if err != nil || again.Name != r.Name || again.Version != r.Version || string(again.Body) != string(r.Body) || !again.At.Equal(r.At) {
			t.Errorf("%+v was read back as %+v, %v", r, again, err)
		}
	})
}

// What a write costs, with and without the disk's word that it has it.
func BenchmarkPut(b *testing.B) {
	for _, always := range []bool{true, false} {
		b.Run(fmt.Sprintf("sync=%v", always), func(b *testing.B) {
			js, _ := serving(b, b.TempDir(), always)
			fast := usual
			fast.WritesPerSecond, fast.Burst = 1e9, 1e9
			s := open(b, js, fast)
			body := strings.Repeat("x", 500)
			var took []time.Duration
			for i := 0; b.Loop(); i++ {
				began := time.Now()
				put(b, s, "a", body, uint64(i))
				took = append(took, time.Since(began))
			}
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "p99-ms")
		})
	}
}
