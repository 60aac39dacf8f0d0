package app

import (
	"context"
	"errors"
	"flag"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/proto"

	"github.com/datapunk/switchgear"
	"github.com/datapunk/switchgear/breaker"
	"github.com/datapunk/switchgear/internal/control"
	"github.com/datapunk/switchgear/link"
	"github.com/datapunk/switchgear/link/wire"
	busv1 "github.com/datapunk/switchgear/server/gen/switchgear/bus/v1"
)

var update = flag.Bool("update", false, "write the golden files anew")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// running starts a daemon and gives a function that stops it, as does the test's
// end.
func running(t *testing.T, change func(*Config)) (*App, func()) {
	t.Helper()
	cfg := Config{Listen: "127.0.0.1:0", Dev: true, Data: t.TempDir(), Name: "d1", Log: slog.New(slog.DiscardHandler)}
	if change != nil {
		change(&cfg)
	}
	a, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- a.Run(ctx) }()
	stop := func() {
		cancel()
		select {
		case err, ok := <-ended:
			if ok && err != nil {
				t.Errorf("Run: %v", err)
			}
		case <-time.After(20 * time.Second):
			t.Error("Run goes on after its context has ended")
		}
	}
	ready := false
	t.Cleanup(func() {
		if ready {
			stop()
		}
	})
	ready = true
	once := false
	return a, func() {
		if !once {
			once, ready = true, false
			stop()
		}
	}
}

// eventually waits for what other goroutines are about to make true.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.After(20 * time.Second); !ok(); {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("not within 20 s: %s", what)
		}
	}
}

func manager(t *testing.T, service, replica string) *switchgear.Manager {
	t.Helper()
	m, err := switchgear.New(switchgear.Config{Service: service, Replica: replica, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return m
}

func get(t *testing.T, a *App, path string) (int, string) {
	t.Helper()
	resp, err := http.Get("http://" + a.Address() + path)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	http.DefaultClient.CloseIdleConnections()
	return resp.StatusCode, string(body)
}

func TestAnAddressThatOthersReachIsRefused(t *testing.T) {
	for address, dev := range map[string]bool{"0.0.0.0:0": true, "[::]:0": true, ":0": true, "10.0.0.1:7443": true, "host:7443": true, "127.0.0.1:0": false} {
		a, err := New(Config{Listen: address, Dev: dev, Data: t.TempDir()})
		if err == nil {
			a.Close()
		}
		if !errors.Is(err, ErrUsage) || !strings.Contains(err.Error(), "TLS and authentication") || !strings.Contains(err.Error(), "--dev") {
			t.Errorf("%s, dev %v: %v: want it refused for want of TLS and authentication, with what to do", address, dev, err)
		}
	}
}

func TestWhatIsTakenIsSaidWithWhatToDo(t *testing.T) {
	a, _ := running(t, nil)
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	damaged := t.TempDir()
	if err := os.WriteFile(filepath.Join(damaged, "incarnation"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	for want, change := range map[string]Config{
		"choose another port with --listen": {Listen: a.Address(), Data: t.TempDir()},
		"is used by another daemon":         {Listen: "127.0.0.1:0", Data: a.cfg.Data},
		"choose another one with --data":    {Listen: "127.0.0.1:0", Data: filepath.Join(file, "data")},
		"incarnation is damaged":            {Listen: "127.0.0.1:0", Data: damaged},
		"choose another file with --record": {Listen: "127.0.0.1:0", Data: t.TempDir(), Record: filepath.Join(file, "record")},
		"want HOST:PORT":                    {Listen: "nonsense", Data: t.TempDir()},
		"no data directory":                 {Listen: "127.0.0.1:0"},
	} {
		change.Dev = true
		b, err := New(change)
		if err == nil {
			b.Close()
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: want %q", err, want)
		}
	}
}

func TestEachStartHasAGreaterIncarnation(t *testing.T) {
	dir := t.TempDir()
	for want := uint64(1); want <= 3; want++ {
		d, err := openData(dir)
		if err != nil || d.incarnation != want {
			t.Fatalf("incarnation %d, %v: want %d", d.incarnation, err, want)
		}
		d.close()
	}
}

func TestHealthAndReadiness(t *testing.T) {
	a, _ := running(t, nil)
	if code, body := get(t, a, "/healthz"); code != http.StatusOK || body != "ok\n" {
		t.Errorf("healthz: %d %q", code, body)
	}
	eventually(t, "ready", func() bool { return a.Ready() == nil })
	a.gateway.drain()
	if code, body := get(t, a, "/readyz"); code != http.StatusServiceUnavailable || !strings.Contains(body, "stopping") {
		t.Errorf("readyz: %d %q: want the reason why not", code, body)
	}
}

func TestMetricNamesAreThoseOfTheGoldenFile(t *testing.T) {
	registry := prometheus.NewRegistry()
	running(t, func(c *Config) { c.Registry = registry })
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, f := range families {
		if name := f.GetName(); strings.HasPrefix(name, "switchgear_") {
			lines = append(lines, name+" "+strings.ToLower(f.GetType().String()))
		}
	}
	slices.Sort(lines)
	got, golden := strings.Join(lines, "\n")+"\n", filepath.Join("testdata", "metrics.txt")
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil || got != string(want) {
		t.Errorf("%v\ngot\n%s\nwant\n%s", err, got, want)
	}
}

func TestAReplicaComesBackAfterTheDaemonsRestart(t *testing.T) {
	dir := t.TempDir()
	a, stop := running(t, func(c *Config) { c.Data = dir })
	m := manager(t, "web", "web-1")
	l, err := link.Connect(m, "http://"+a.Address())
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	eventually(t, "attached", func() bool { return a.gateway.attached() == 1 })
	address := a.Address()
	stop()
	b, _ := running(t, func(c *Config) { c.Data, c.Listen = dir, address })
	eventually(t, "attached again", func() bool { return b.gateway.attached() == 1 })
	_ = l.Close()
	eventually(t, "gone", func() bool { return b.gateway.attached() == 0 })
}

// And the record of it, replayed, says the same directives.
func TestReplicasThatFailTogetherOpenTheirCircuit(t *testing.T) {
	record := filepath.Join(t.TempDir(), "record.jsonl")
	a, stop := running(t, func(c *Config) { c.Record = record })
	said := make(chan *busv1.Order, 10_000)
	if _, err := a.bus.SubscribeOrders(func(o *busv1.Orders) {
		for _, x := range o.GetOrders() {
			said <- x
		}
	}); err != nil {
		t.Fatal(err)
	}
	var breakers []*switchgear.Breaker
	for _, name := range []string{"web-1", "web-2", "web-3"} {
		m := manager(t, "web", name)
		l, err := link.Connect(m, "http://"+a.Address())
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		breakers = append(breakers, m.Breaker(switchgear.Key{Callee: "checkout"}))
	}
	eventually(t, "three attached", func() bool { return a.gateway.attached() == 3 })
	// None of them sees enough calls to open alone.
	for _, b := range breakers {
		for range 10 {
			if p, err := b.Acquire(); err == nil {
				p.Done(switchgear.Outcome{Verdict: breaker.Failure, Kind: breaker.ServerError})
			}
		}
	}
	eventually(t, "open in the daemon", func() bool {
		cs := a.owner.snapshot().Circuits
		return len(cs) == 1 && cs[0].State != breaker.Closed
	})
	eventually(t, "open in each replica", func() bool {
		for _, b := range breakers {
			if b.State() == breaker.Closed {
				return false
			}
		}
		return true
	})
	stop()
	f, err := os.Open(record)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	header, inputs, err := control.ReadTrace(f)
	if err != nil || header.Config.Daemon != "d1" {
		t.Fatalf("header %+v, %v", header, err)
	}
	mind, replayed := control.New(header.Config), 0
	for in, err := range inputs {
		if err != nil {
			t.Fatal(err)
		}
		for _, out := range mind.Step(in).Directives {
			want := &busv1.Order{To: wire.ToReplica(out.To), Directive: wire.ToDirective(&out.Directive)}
			if got := <-said; !proto.Equal(got, want) {
				t.Fatalf("directive %d: said %v, replayed %v", replayed, got, want)
			}
			replayed++
		}
	}
	if len(said) != 0 || replayed == 0 {
		t.Errorf("%d directives replayed, %d more were said", replayed, len(said))
	}
}
