package proxy

import (
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"time"
)

// echo sends back what it gets, and says when a connection ended.
func echo(t *testing.T) (address string, ended <-chan struct{}) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	ends := make(chan struct{}, 10)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				io.Copy(c, c)
				c.Close()
				ends <- struct{}{}
			}()
		}
	}()
	return l.Addr().String(), ends
}

func dial(t *testing.T, p *Proxy) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", p.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func say(t *testing.T, c net.Conn, words string) {
	t.Helper()
	if _, err := io.WriteString(c, words); err != nil {
		t.Fatal(err)
	}
}

func hear(t *testing.T, c net.Conn, words string) {
	t.Helper()
	b := make([]byte, len(words))
	if _, err := io.ReadFull(c, b); err != nil || string(b) != words {
		t.Fatalf("heard %q, %v; want %q", b, err, words)
	}
}

// silent sees that nothing arrives for a moment, and that the connection stands.
func silent(t *testing.T, c net.Conn) {
	t.Helper()
	c.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	if n, err := c.Read(make([]byte, 1)); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("%d bytes, %v; want silence", n, err)
	}
	c.SetReadDeadline(time.Time{})
}

func TestTCPPassesBothWaysAndEndsInOrder(t *testing.T) {
	to, ended := echo(t)
	p := start(t, Config{To: to, TCP: true})
	c := dial(t, p)
	say(t, c, "one")
	hear(t, c, "one")
	c.(*net.TCPConn).CloseWrite()
	if _, err := c.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("end %v, want EOF", err)
	}
	<-ended
}

func TestTCPHangStallsAndTheCureDeliversLate(t *testing.T) {
	to, _ := echo(t)
	p := start(t, Config{To: to, TCP: true})
	c := dial(t, p)
	say(t, c, "one")
	hear(t, c, "one")
	p.Set(Faults{Hang: true})
	say(t, c, "two")
	silent(t, c)
	p.Set(Faults{})
	hear(t, c, "two")
}

func TestTCPHalfOpenEndsTheFarSideOnly(t *testing.T) {
	to, ended := echo(t)
	p := start(t, Config{To: to, TCP: true})
	c := dial(t, p)
	say(t, c, "one")
	hear(t, c, "one")
	p.Set(Faults{HalfOpen: true})
	<-ended
	say(t, c, "two")
	silent(t, c)
	p.Set(Faults{})
	say(t, c, "three")
	silent(t, c) // the cure is for new connections: this one is lost
	d := dial(t, p)
	say(t, d, "four")
	hear(t, d, "four")
}

func TestTCPResetHitsConnectionsInUse(t *testing.T) {
	to, ended := echo(t)
	p := start(t, Config{To: to, TCP: true})
	c := dial(t, p)
	say(t, c, "one")
	hear(t, c, "one")
	p.Set(Faults{ResetPercent: 100})
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("end %v, want a reset", err)
	}
	<-ended
	// A new one may be reset before the kernel says that it is connected.
	d, err := net.Dial("tcp", p.Addr())
	if err == nil {
		_, err = d.Read(make([]byte, 1))
		d.Close()
	}
	if !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("new connection: %v, want a reset", err)
	}
}

func TestTCPDelayDelaysEachWay(t *testing.T) {
	to, _ := echo(t)
	p := start(t, Config{To: to, TCP: true, Faults: Faults{Delay: 20 * time.Millisecond}})
	c := dial(t, p)
	began := time.Now()
	say(t, c, "one")
	hear(t, c, "one")
	if took := time.Since(began); took < 40*time.Millisecond {
		t.Errorf("there and back in %v, want at least twice the delay", took)
	}
}

func TestTCPDripDrips(t *testing.T) {
	to, _ := echo(t)
	p := start(t, Config{To: to, TCP: true, Faults: Faults{Drip: 500}})
	c := dial(t, p)
	began := time.Now()
	words := string(make([]byte, 100))
	say(t, c, words)
	hear(t, c, words)
	if took := time.Since(began); took < 100*time.Millisecond {
		t.Errorf("100 bytes at 500 a second in %v", took)
	}
}

func TestCloseCutsWhatIsUnderWay(t *testing.T) {
	to, ended := echo(t)
	p := start(t, Config{To: to, TCP: true})
	c := dial(t, p)
	say(t, c, "one")
	hear(t, c, "one")
	p.Set(Faults{Hang: true})
	say(t, c, "two")
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	if _, err := c.Read(make([]byte, 1)); err == nil {
		t.Error("the connection outlived its proxy")
	}
	<-ended
}
