//go:build unix

package demo

import "syscall"

// suspend stops the child where it stands, as SIGSTOP does; resume lets it go on.
func (c *child) suspend() error { return c.cmd.Process.Signal(syscall.SIGSTOP) }

func (c *child) resume() error { return c.cmd.Process.Signal(syscall.SIGCONT) }
