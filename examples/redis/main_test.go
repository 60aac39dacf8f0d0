package main

import (
	"context"
	"errors"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/datapunk/switchgear"
)

// server starts a Redis on a socket of its own.
func server(t *testing.T) *redis.Client {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "redis.sock")
	cmd := exec.CommandContext(t.Context(), "redis-server", "--port", "0", "--unixsocket", socket, "--save", "", "--dir", t.TempDir())
	if err := cmd.Start(); err != nil {
		t.Fatalf("start redis-server (Debian's package of that name): %v", err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	client := redis.NewClient(&redis.Options{Network: "unix", Addr: socket})
	for end := time.Now().Add(10 * time.Second); client.Ping(t.Context()).Err() != nil; {
		if time.Now().After(end) {
			t.Fatal("redis-server does not answer")
		}
	}
	_ = client.Close()
	return redis.NewClient(&redis.Options{Network: "unix", Addr: socket})
}

func checkout(t *testing.T, client *redis.Client) *switchgear.Manager {
	t.Helper()
	var s switchgear.Settings
	s.Breaker.ConsecutiveFailures = 5
	m, err := switchgear.New(switchgear.Config{Service: "checkout"}, switchgear.WithSettings(s), switchgear.WithStateCache(Cache{client}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.Close() })
	return m
}

func TestARestartedProcessGoesOnFromRedis(t *testing.T) {
	client := server(t)
	options := client.Options()
	m := checkout(t, client)
	for range 5 {
		_, _ = switchgear.Do(t.Context(), m.Breaker(switchgear.Key{Callee: "ledger"}), func(context.Context) (int, error) { return 0, errors.New("down") })
	}
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	again := checkout(t, redis.NewClient(options))
	if s := again.Breaker(switchgear.Key{Callee: "ledger"}).State(); s != switchgear.Open {
		t.Errorf("%v: want open, as before the restart", s)
	}
}

func TestWithoutRedisTheProcessStarts(t *testing.T) {
	m := checkout(t, redis.NewClient(&redis.Options{Network: "unix", Addr: filepath.Join(t.TempDir(), "none"), MaxRetries: -1}))
	if s := m.Breaker(switchgear.Key{Callee: "ledger"}).State(); s != switchgear.Closed {
		t.Errorf("%v: want closed", s)
	}
}
