package demo

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/datapunk/switchgear/server/process"
)

// The test binary plays switchgear: a demo's services are the real ones, its
// daemon only says that it is ready.
func TestMain(m *testing.M) {
	process.Leash()
	switch {
	case len(os.Args) > 1 && os.Args[1] == ServiceCommand:
		exitWith(Serve(context.Background(), os.Stdout))
	case len(os.Args) > 4 && os.Args[1] == "serve":
		exitWith(http.ListenAndServe(os.Args[4], http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})))
	case os.Getenv("SWITCHGEAR_TEST_DEMO") != "":
		_, err := Run(context.Background(), demoConfig(os.Args[0]))
		exitWith(err)
	}
	os.Exit(m.Run())
}

func exitWith(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

func demoConfig(binary string) Config {
	return Config{Binary: binary, Duration: time.Minute, Say: func(_ time.Duration, s string) { fmt.Println(s) }}
}

const allReplicas = 17

func TestNoChildOutlivesAKilledDemo(t *testing.T) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "SWITCHGEAR_TEST_DEMO=1", "TMPDIR="+t.TempDir())
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Process.Kill()
	lines := bufio.NewScanner(out)
	for lines.Scan() && !strings.Contains(lines.Text(), "replicas and a daemon") {
	}
	children := childrenOf(t, cmd.Process.Pid)
	if len(children) != allReplicas+1 {
		t.Errorf("%d children, want every replica and the daemon", len(children))
	}
	if err := cmd.Process.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	cmd.Wait()
	for _, pid := range children {
		gone(t, pid)
	}
}

func TestTheEndOfADemoEndsItsChildrenAndItsFiles(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	ctx, cancel := context.WithCancel(t.Context())
	c := demoConfig(os.Args[0])
	var children []int
	c.Say = func(_ time.Duration, s string) {
		if strings.Contains(s, "replicas and a daemon") {
			children = childrenOf(t, os.Getpid())
			cancel() // Ctrl-C
		}
	}
	r, err := Run(ctx, c)
	if err != nil || !r.Interrupted || r.Kept() {
		t.Errorf("result %+v, error %v", r, err)
	}
	if len(children) != allReplicas+1 {
		t.Errorf("%d children, want every replica and the daemon", len(children))
	}
	for _, pid := range children {
		gone(t, pid)
	}
	if left, _ := filepath.Glob(filepath.Join(os.TempDir(), "*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestAChildThatDiesEndsTheDemoWithItsName(t *testing.T) {
	c := demoConfig(os.Args[0])
	c.Say = func(_ time.Duration, s string) {
		if strings.Contains(s, "replicas and a daemon") {
			for _, pid := range childrenOf(t, os.Getpid()) {
				if strings.Contains(commandLine(pid), ServiceCommand) {
					syscall.Kill(pid, syscall.SIGKILL)
					return
				}
			}
		}
	}
	_, err := Run(t.Context(), c)
	if err == nil || !strings.Contains(err.Error(), "ended by itself") {
		t.Errorf("error %v, want the child's end", err)
	}
}

func TestAnOccupiedPortIsSaidWithTheWayOut(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c := demoConfig(os.Args[0])
	c.Port = l.Addr().(*net.TCPAddr).Port
	if _, err := Run(t.Context(), c); err == nil || !strings.Contains(err.Error(), "--port") {
		t.Errorf("error %v, want one that names --port", err)
	}
}

// childrenOf lists the processes that pid has started and not yet waited for.
func childrenOf(t *testing.T, pid int) []int {
	t.Helper()
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		t.Fatal(err)
	}
	var children []int
	for _, path := range stats {
		if child, parent, state := parseStat(path); parent == pid && state != "Z" {
			children = append(children, child)
		}
	}
	return children
}

// parseStat reads pid, parent and state; zeros of a process that is gone.
func parseStat(path string) (pid, parent int, state string) {
	b, err := os.ReadFile(path)
	if err != nil {
		return 0, 0, ""
	}
	open, end := strings.IndexByte(string(b), ' '), strings.LastIndexByte(string(b), ')')
	fields := strings.Fields(string(b[end+1:]))
	pid, _ = strconv.Atoi(string(b[:open]))
	parent, _ = strconv.Atoi(fields[1])
	return pid, parent, fields[0]
}

func commandLine(pid int) string {
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	return string(b)
}

// gone waits for a process to have ended; one that nobody waits for any more, a
// zombie, has.
func gone(t *testing.T, pid int) {
	t.Helper()
	late := time.After(20 * time.Second)
	for tick := time.Tick(5 * time.Millisecond); ; {
		if _, parent, state := parseStat(fmt.Sprintf("/proc/%d/stat", pid)); parent == 0 || state == "Z" {
			return
		}
		select {
		case <-late:
			t.Errorf("process %d is still there: %s", pid, commandLine(pid))
			return
		case <-tick:
		}
	}
}
