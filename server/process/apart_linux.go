package process

import "syscall"

// apart puts a child into a process group of its own, so that Ctrl-C reaches the
// starter alone, which then ends its children in order; and has the kernel kill it
// when the starter dies.
func apart() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
