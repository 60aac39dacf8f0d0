// Package process starts programs that can't outlive their starter: whatever ends
// it, on Linux the kernel ends them, elsewhere their standard input does.
package process

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// leashVariable in a process's environment makes Leash hold it.
const leashVariable = "SWITCHGEAR_LEASH"

// Leash ends this process when the one that started it is gone, however it went:
// the end of its standard input tells. It does nothing in a process that no
// Nursery started. On Linux the kernel sees to the same, at once.
func Leash() {
	if os.Getenv(leashVariable) == "" {
		return
	}
	go func() {
		io.Copy(io.Discard, os.Stdin) //nolint:errcheck // whatever ends it, the starter is gone
		os.Exit(1)
	}()
}

// Tie puts a command of this program, which is not started yet, on a leash that
// ends with this process, or when it is closed.
func Tie(cmd *exec.Cmd) (leash io.Closer, err error) {
	cmd.Env = append(os.Environ(), leashVariable+"=1")
	return cmd.StdinPipe()
}

// farewell is how long a child may take to end by itself.
const farewell = 3 * time.Second

// Nursery starts children, from one OS thread that lives as long as they do: the
// kernel's promise to kill a child is about the thread that started it.
type Nursery struct {
	jobs chan func()
	done chan struct{}
}

// NewNursery begins one; Close it.
func NewNursery() *Nursery {
	n := &Nursery{jobs: make(chan func()), done: make(chan struct{})}
	go func() {
		defer close(n.done)
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		for job := range n.jobs {
			job()
		}
	}()
	return n
}

// Close ends the nursery; every child must have ended.
func (n *Nursery) Close() {
	close(n.jobs)
	<-n.done
}

// Child is a process.
type Child struct {
	Name    string
	First   <-chan string   // the first line of its standard output; closed without one
	Ended   <-chan struct{} // closed when it has
	cmd     *exec.Cmd
	leash   io.Closer
	err     error // once ended
	errors  tail
	retired atomic.Bool // its end is wanted
}

// Start runs the binary. From other goroutines, lines, if not nil, hears each line
// of its standard output after the first, and unwanted is called if the child ends
// before it is stopped.
func (n *Nursery) Start(binary, name string, args, environment []string, lines func(string), unwanted func(*Child)) (*Child, error) {
	cmd := exec.Command(binary, args...) //nolint:noctx // ended in order by stop, not killed by a context
	first, ended := make(chan string, 1), make(chan struct{})
	c := &Child{Name: name, First: first, Ended: ended, cmd: cmd}
	c.cmd.Stderr = &c.errors
	c.cmd.SysProcAttr = apart()
	leash, err := Tie(c.cmd)
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	c.cmd.Env = append(c.cmd.Env, environment...)
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	c.leash = leash
	started := make(chan error)
	n.jobs <- func() { started <- c.cmd.Start() }
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	go func() {
		r := bufio.NewReader(out)
		line, err := r.ReadString('\n')
		if err == nil {
			first <- strings.TrimSpace(line)
		}
		close(first)
		for rest := bufio.NewScanner(r); lines != nil && rest.Scan(); {
			lines(rest.Text())
		}
		io.Copy(io.Discard, r) //nolint:errcheck // read only so that the child never blocks
		c.err = c.cmd.Wait()
		close(ended)
		if !c.retired.Load() {
			unwanted(c)
		}
	}()
	return c, nil
}

// Ready waits for the child's first line, which says that it is ready, and where.
func (c *Child) Ready(ctx context.Context, timeout time.Duration) (string, error) {
	select {
	case line, ok := <-c.First:
		if !ok {
			<-c.Ended
			return "", c.Failure()
		}
		return line, nil
	case <-time.After(timeout):
		return "", fmt.Errorf("%s was not ready within %v", c.Name, timeout)
	case <-ctx.Done():
		return "", context.Cause(ctx)
	}
}

// Failure says how the child ended, with its last words.
func (c *Child) Failure() error {
	words := c.errors.String()
	if words != "" {
		words = ":\n" + words
	}
	if c.err == nil {
		return fmt.Errorf("%s ended by itself%s", c.Name, words)
	}
	return fmt.Errorf("%s ended by itself: %w%s", c.Name, c.err, words)
}

// Words are the last that it wrote to its standard error.
func (c *Child) Words() string { return c.errors.String() }

// Kill ends the child at once, as kill -9 does, and waits for it.
func (c *Child) Kill() {
	c.retired.Store(true)
	c.cmd.Process.Kill() //nolint:errcheck // an error means that it has ended already
	<-c.Ended
	c.leash.Close()
}

// Stop asks children to end, kills those that don't, and waits for all.
func Stop(children ...*Child) {
	for _, c := range children {
		c.retired.Store(true)
		if err := c.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
			c.cmd.Process.Kill() //nolint:errcheck // a system without that signal
		}
	}
	late := time.After(farewell)
	for _, c := range children {
		select {
		case <-c.Ended:
		case <-late:
			late = nil
			for _, c := range children {
				c.cmd.Process.Kill() //nolint:errcheck // an error means that it has ended already
			}
			<-c.Ended
		}
		c.leash.Close()
	}
}

// tail keeps the last words that are written to it.
type tail struct {
	mu   sync.Mutex
	kept []byte
}

const tailLimit = 4 << 10

func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.kept = append(t.kept, b...)
	if over := len(t.kept) - tailLimit; over > 0 {
		t.kept = append(t.kept[:0], t.kept[over:]...)
	}
	return len(b), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.TrimSpace(string(t.kept))
}
