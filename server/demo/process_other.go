//go:build !linux

package demo

import "syscall"

// apart leaves children in the demo's process group; its leash ends them.
func apart() *syscall.SysProcAttr { return nil }
