package cli

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/datapunk/switchgear"
	"github.com/datapunk/switchgear/breaker"
	"github.com/datapunk/switchgear/link"
	"github.com/datapunk/switchgear/server/process"
)

// The scripts run this binary as switchgear, each command a process of its own.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"switchgear": func() {
			process.Leash()
			os.Exit(Main())
		},
		"failing-replica": failingReplica,
		"calling-replica": callingReplica,
		"says":            func() { os.Exit(says()) },
		"grep-file":       func() { os.Exit(grepFile()) },
		"refused":         func() { os.Exit(refused()) },
		"watching":        func() { os.Exit(watching()) },
		"refusing-daemon": refusingDaemon,
		"switchgear-open": func() { os.Exit(isOpen()) },
		"interrupted":     func() { os.Exit(interrupted()) },
	})
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(e *testscript.Env) error {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				return err
			}
			e.Setenv("ADDR", l.Addr().String())
			e.Setenv("HOME", e.WorkDir)
			return l.Close()
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits": exits, "ready": ready, "until": until,
		},
	})
}

// exits CODE COMMAND… runs a command and checks its exit code.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE COMMAND [ARGUMENT…]")
	}
	err := ts.Exec(args[1], args[2:]...)
	code := "0"
	if err != nil {
		code = fmt.Sprint(err)
		if _, e := fmt.Sscanf(code, "exit status %s", &code); e != nil {
			ts.Fatalf("%v", err)
		}
	}
	if code != args[0] {
		ts.Fatalf("exit code %s: want %s", code, args[0])
	}
}

// ready waits for the daemon at $ADDR.
func ready(ts *testscript.TestScript, _ bool, _ []string) {
	wait(ts, "the daemon is ready", func() bool {
		resp, err := http.Get("http://" + ts.Getenv("ADDR") + "/readyz")
		if err != nil {
			return false
		}
		defer resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	})
}

// until COMMAND… runs a command again and again until it succeeds.
func until(ts *testscript.TestScript, _ bool, args []string) {
	wait(ts, fmt.Sprint(args), func() bool { return ts.Exec(args[0], args[1:]...) == nil })
}

func wait(ts *testscript.TestScript, what string, ok func() bool) {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(20 * time.Second)
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			ts.Fatalf("not within 20 s: %s", what)
		}
	}
}

// says PATTERN ARGUMENT… succeeds if switchgear prints what the pattern matches.
func says() int {
	var out strings.Builder
	if code := run(context.Background(), os.Args[2:], &out, os.Stderr); code != 0 {
		return code
	}
	if !regexp.MustCompile(os.Args[1]).MatchString(out.String()) {
		return 1
	}
	return 0
}

// grepFile PATTERN FILE succeeds if the file has what the pattern matches.
func grepFile() int {
	data, err := os.ReadFile(os.Args[2])
	if err != nil || !regexp.MustCompile(os.Args[1]).Match(data) {
		return 1
	}
	return 0
}

// refused COMMAND… succeeds if the command ends as one that is not allowed.
func refused() int {
	cmd := exec.Command(os.Args[1], os.Args[2:]...)
	_ = cmd.Run()
	if cmd.ProcessState.ExitCode() != exitNotAllowed {
		return 1
	}
	return 0
}

// watching FILE COMMAND… is the command, with its output in a file.
func watching() int {
	f, err := os.Create(os.Args[1])
	if err != nil {
		panic(err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	return run(ctx, os.Args[3:], f, os.Stderr)
}

// refusingDaemon CODE answers everything with an error, as daemons do that listen
// where others reach them.
func refusingDaemon() {
	answer := fmt.Sprintf(`{"code":%q,"message":"not here"}`, os.Args[1])
	panic((&http.Server{
		Addr: os.Getenv("ADDR"), ReadHeaderTimeout: time.Second,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusForbidden)
			fmt.Fprint(w, answer)
		}),
	}).ListenAndServe())
}

// isOpen succeeds if get lists the circuit as not closed.
func isOpen() int {
	var out strings.Builder
	code := run(context.Background(), []string{"get", "circuits", "--state", "open,half_open", "-o", "name", os.Args[1]}, &out, os.Stderr)
	if code == 0 && out.Len() == 0 {
		return 1
	}
	return code
}

// interrupted runs a command, passes on its first line, interrupts it, and exits
// as it does.
func interrupted() int {
	cmd := exec.Command(os.Args[1], os.Args[2:]...)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		panic(err)
	}
	r := bufio.NewReader(out)
	line, _ := r.ReadString('\n')
	fmt.Print(line)
	_ = cmd.Process.Signal(os.Interrupt)
	_, _ = io.Copy(io.Discard, r)
	_ = cmd.Wait()
	return cmd.ProcessState.ExitCode()
}

// callingReplica is a client whose calls to checkout succeed, until it is ended; a
// file of its name says whether the last one was admitted.
func callingReplica() {
	m, err := switchgear.New(switchgear.Config{Service: "web", Replica: os.Args[1]})
	if err != nil {
		panic(err)
	}
	if _, err := link.Connect(m, "http://"+os.Getenv("ADDR")); err != nil {
		panic(err)
	}
	b := m.Breaker(switchgear.Key{Callee: "checkout"})
	last := ""
	for range time.Tick(20 * time.Millisecond) {
		now := "rejected"
		if p, err := b.Acquire(); err == nil {
			p.Done(switchgear.Outcome{Verdict: breaker.Success})
			now = "admitted"
		}
		if now != last {
			if err := os.WriteFile(os.Args[1], []byte(now), 0o600); err != nil {
				panic(err)
			}
		}
		last = now
	}
}

// failingReplica is a client whose calls to checkout fail, in a process of its
// own, until it is ended: so few that two open together before one does alone.
func failingReplica() {
	m, err := switchgear.New(switchgear.Config{Service: "web", Replica: os.Args[1]})
	if err != nil {
		panic(err)
	}
	if _, err := link.Connect(m, "http://"+os.Getenv("ADDR")); err != nil {
		panic(err)
	}
	b := m.Breaker(switchgear.Key{Callee: "checkout"})
	for range time.Tick(60 * time.Millisecond) {
		if p, err := b.Acquire(); err == nil {
			p.Done(switchgear.Outcome{Verdict: breaker.Failure, Kind: breaker.ServerError})
		}
	}
}
