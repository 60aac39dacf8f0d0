//go:build unix

package process

import "syscall"

// Suspend stops the child where it stands, as SIGSTOP does; Resume lets it go on.
func (c *Child) Suspend() error { return c.cmd.Process.Signal(syscall.SIGSTOP) }

// Resume ends Suspend.
func (c *Child) Resume() error { return c.cmd.Process.Signal(syscall.SIGCONT) }
