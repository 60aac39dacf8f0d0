package main

import (
	"context"
	"errors"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/datapunk/switchgear"
)

func TestAStatsdDaemonHearsOfEachBreaker(t *testing.T) {
	daemon, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer daemon.Close()
	m, err := switchgear.New(switchgear.Config{Service: "checkout"})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	for range 21 {
		_, _ = switchgear.Do(t.Context(), m.Breaker(switchgear.Key{Callee: "ledger"}), func(context.Context) (int, error) { return 0, errors.New("boom") })
	}
	conn, err := net.Dial("udp", daemon.LocalAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := Send(conn, m); err != nil {
		t.Fatal(err)
	}
	packet := make([]byte, 1500) // what fits into one frame
	if err := daemon.SetReadDeadline(time.Now().Add(5 * time.Second)); err != nil {
		t.Fatal(err)
	}
	n, _, err := daemon.ReadFrom(packet)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(packet[:n]), "\n")
	for _, want := range []string{
		"switchgear.default.ledger.state.open:1|g", "switchgear.default.ledger.state.closed:0|g",
		"switchgear.default.ledger.calls.failure:20|g", "switchgear.default.ledger.rejections.open:1|g",
	} {
		if !slices.Contains(lines, want) {
			t.Errorf("no line %q in\n%s", want, packet[:n])
		}
	}
}
