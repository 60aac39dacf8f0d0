package demo

import (
	"bufio"
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
const leashVariable = "SWITCHGEAR_DEMO_LEASH"

// Leash ends this process when the demo that started it is gone, however it
// went: the end of its standard input tells. It does nothing in a process that no
// demo started. On Linux the kernel sees to the same, at once.
func Leash() {
	if os.Getenv(leashVariable) == "" {
		return
	}
	go func() {
		io.Copy(io.Discard, os.Stdin) //nolint:errcheck // whatever ends it, the demo is gone
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

// nursery starts children, from one OS thread that lives as long as they do: the
// kernel's promise to kill a child is about the thread that started it.
type nursery struct {
	jobs chan func()
	done chan struct{}
}

func newNursery() *nursery {
	n := &nursery{jobs: make(chan func()), done: make(chan struct{})}
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

// close ends the nursery; every child must have ended.
func (n *nursery) close() {
	close(n.jobs)
	<-n.done
}

// child is a process of the demo.
type child struct {
	name    string
	cmd     *exec.Cmd
	leash   io.Closer
	first   chan string // the first line of its standard output
	ended   chan struct{}
	err     error // once ended
	errors  tail
	retired atomic.Bool // its end is wanted
}

// start runs the binary. unwanted is called, from another goroutine, if the child
// ends before it is stopped.
func (n *nursery) start(binary, name string, args, environment []string, unwanted func(*child)) (*child, error) {
	cmd := exec.Command(binary, args...) //nolint:noctx // ended in order by stop, not killed by a context
	c := &child{name: name, cmd: cmd, first: make(chan string, 1), ended: make(chan struct{})}
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
			c.first <- strings.TrimSpace(line)
		}
		close(c.first)
		io.Copy(io.Discard, r) //nolint:errcheck // read only so that the child never blocks
		c.err = c.cmd.Wait()
		close(c.ended)
		if !c.retired.Load() {
			unwanted(c)
		}
	}()
	return c, nil
}

// failure says how the child ended, with its last words.
func (c *child) failure() error {
	words := c.errors.String()
	if words != "" {
		words = ":\n" + words
	}
	if c.err == nil {
		return fmt.Errorf("%s ended by itself%s", c.name, words)
	}
	return fmt.Errorf("%s ended by itself: %w%s", c.name, c.err, words)
}

// kill ends the child at once, as kill -9 does, and waits for it.
func (c *child) kill() {
	c.retired.Store(true)
	c.cmd.Process.Kill() //nolint:errcheck // an error means that it has ended already
	<-c.ended
	c.leash.Close()
}

// stop asks children to end, kills those that don't, and waits for all.
func stop(children ...*child) {
	for _, c := range children {
		c.retired.Store(true)
		if err := c.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
			c.cmd.Process.Kill() //nolint:errcheck // a system without that signal
		}
	}
	late := time.After(farewell)
	for _, c := range children {
		select {
		case <-c.ended:
		case <-late:
			late = nil
			for _, c := range children {
				c.cmd.Process.Kill() //nolint:errcheck // an error means that it has ended already
			}
			<-c.ended
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
