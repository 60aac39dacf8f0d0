package scale

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/datapunk/switchgear/server/process"
)

// daemon is a daemon in a process of its own, so that its cost is its alone.
type daemon struct {
	address string
	cmd     *exec.Cmd
	leash   io.Closer
	data    string
	read    chan struct{} // closed when its words are read
}

var serves = regexp.MustCompile(`serves on (http://[^ :]+:[0-9]+)`)

func startDaemon(ctx context.Context, program string) (_ *daemon, err error) {
	d := &daemon{read: make(chan struct{})}
	if d.data, err = os.MkdirTemp("", "switchgear-scale-*"); err != nil {
		return nil, fmt.Errorf("start the daemon: %w", err)
	}
	d.cmd = exec.CommandContext(ctx, program, "serve", "--dev", "--listen", "127.0.0.1:0", "--data", d.data, "--log-level", "warn")
	if d.leash, err = process.Tie(d.cmd); err != nil {
		return nil, errors.Join(fmt.Errorf("start the daemon: %w", err), os.RemoveAll(d.data))
	}
	words, err := d.cmd.StderrPipe()
	if err == nil {
		err = d.cmd.Start()
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("start the daemon: %w", err), os.RemoveAll(d.data))
	}
	first := make(chan string, 1)
	go func() {
		defer close(d.read)
		r := bufio.NewReader(words)
		line, _ := r.ReadString('\n')
		first <- line
		_, _ = io.Copy(io.Discard, r) // so that it never blocks
	}()
	select {
	case line := <-first:
		m := serves.FindStringSubmatch(line)
		if m == nil {
			d.stop()
			return nil, fmt.Errorf("start the daemon: it says %q", strings.TrimSpace(line))
		}
		d.address = m[1]
		return d, nil
	case <-time.After(20 * time.Second):
		d.stop()
		return nil, errors.New("start the daemon: it has not said where it serves")
	}
}

func (d *daemon) stop() {
	_ = d.cmd.Process.Signal(syscall.SIGTERM)
	timer := time.AfterFunc(10*time.Second, func() { _ = d.cmd.Process.Kill() })
	defer timer.Stop()
	<-d.read
	_ = d.cmd.Wait()
	_ = d.leash.Close()
	_ = os.RemoveAll(d.data)
}

func (d *daemon) pid() int { return d.cmd.Process.Pid }

func (d *daemon) figures(ctx context.Context) (map[string]float64, error) {
	return figuresOf(ctx, d.address)
}

// figuresOf are a daemon's own, by name; those with labels are left out.
func figuresOf(ctx context.Context, address string) (map[string]float64, error) {
	q, err := http.NewRequestWithContext(ctx, http.MethodGet, address+"/metrics", nil)
	if err != nil {
		return nil, fmt.Errorf("read the daemon's metrics: %w", err)
	}
	resp, err := http.DefaultClient.Do(q)
	if err != nil {
		return nil, fmt.Errorf("read the daemon's metrics: %w", err)
	}
	defer resp.Body.Close()
	all := make(map[string]float64)
	for s := bufio.NewScanner(resp.Body); s.Scan(); {
		if name, value, ok := strings.Cut(s.Text(), " "); ok && name != "#" {
			if v, err := strconv.ParseFloat(value, 64); err == nil {
				all[name] = v
			}
		}
	}
	return all, nil
}

// awaitAttached waits until the daemon at an address serves so many replicas.
func awaitAttached(ctx context.Context, address string, n int) error {
	deadline := time.Now().Add(time.Minute)
	for {
		f, err := figuresOf(ctx, address)
		if err != nil {
			return err
		}
		got := int(f["switchgear_replicas_attached"])
		if got == n {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%d of %d replicas are attached after a minute", got, n)
		}
		if err := sleep(ctx, 20*time.Millisecond); err != nil {
			return err
		}
	}
}

// sleep waits, or returns why it did not.
func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
