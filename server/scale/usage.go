package scale

import (
	"bytes"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// used is the processor time of this process.
func used() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u) // it fails only on a wrong argument
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// usedByThread is the processor time of this thread, on Linux.
func usedByThread() time.Duration {
	const thread = 1 // RUSAGE_THREAD
	var u syscall.Rusage
	_ = syscall.Getrusage(thread, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// heap in use, without what is garbage.
func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// tick is the unit in which Linux tells the processor time of others.
const tick = time.Second / 100

// usedBy is the processor time of another process.
func usedBy(pid int) (time.Duration, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, fmt.Errorf("read the daemon's processor time, which needs Linux: %w", err)
	}
	// The name, in brackets, may hold anything; user and system time are the 12th and
	// 13th field after it.
	fields := strings.Fields(string(data[bytes.LastIndexByte(data, ')')+1:]))
	if len(fields) < 13 {
		return 0, fmt.Errorf("read the daemon's processor time: /proc/%d/stat has %d fields", pid, len(fields))
	}
	sum := 0
	for _, f := range fields[11:13] {
		n, err := strconv.Atoi(f)
		if err != nil {
			return 0, fmt.Errorf("read the daemon's processor time: %w", err)
		}
		sum += n
	}
	return time.Duration(sum) * tick, nil
}

// memory reads one line of a process's status, such as VmHWM, in bytes.
func memory(pid int, line string) (uint64, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, fmt.Errorf("read memory, which needs Linux: %w", err)
	}
	for l := range strings.Lines(string(data)) {
		if value, ok := strings.CutPrefix(l, line+":"); ok {
			kb, err := strconv.ParseUint(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64)
			if err != nil {
				return 0, fmt.Errorf("read memory: %w", err)
			}
			return kb << 10, nil
		}
	}
	return 0, fmt.Errorf("read memory: no %s", line)
}

// forgetPeak lets this process's greatest memory be counted from now on.
func forgetPeak() error {
	debug.FreeOSMemory()
	if err := os.WriteFile("/proc/self/clear_refs", []byte("5"), 0o200); err != nil {
		return fmt.Errorf("forget the greatest memory so far, which needs Linux: %w", err)
	}
	return nil
}

// onOneCore runs f with GOMAXPROCS=1 and gives the processor time that it took,
// with that of the garbage collector.
func onOneCore(f func()) time.Duration {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	runtime.GC()
	start := used()
	f()
	return used() - start
}

// machine is the processor time of everything on this machine.
func machine() (busy time.Duration, err error) {
	data, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, fmt.Errorf("read the machine's processor time, which needs Linux: %w", err)
	}
	line, _, _ := strings.Cut(string(data), "\n")
	fields := strings.Fields(line)
	const idle, wait = 4, 5 // of the fields after its name
	for i, f := range fields {
		if i == 0 || i == idle || i == wait || i > 8 {
			continue
		}
		n, err := strconv.Atoi(f)
		if err != nil {
			return 0, fmt.Errorf("read the machine's processor time: %w", err)
		}
		busy += time.Duration(n) * tick
	}
	return busy, nil
}

// others tells what everybody but this process and some more have used.
type others struct {
	at   time.Time
	busy time.Duration
	own  []int
}

func newOthers(own ...int) (*others, error) {
	o := &others{own: append(own, os.Getpid()), at: time.Now()}
	var err error
	o.busy, err = o.used()
	return o, err
}

func (o *others) used() (time.Duration, error) {
	busy, err := machine()
	if err != nil {
		return 0, err
	}
	for _, pid := range o.own {
		used, err := usedBy(pid)
		if err != nil {
			return 0, err
		}
		busy -= used
	}
	return busy, nil
}

// percent of a core since it was made; over less than some ticks it means little.
func (o *others) percent() (float64, error) {
	busy, err := o.used()
	return 100 * float64(max(busy-o.busy, 0)) / float64(max(time.Since(o.at), 1)), err
}
