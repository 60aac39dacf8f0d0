//go:build !linux

package process

import "syscall"

// apart leaves children in the starter's process group; its leash ends them.
func apart() *syscall.SysProcAttr { return nil }
