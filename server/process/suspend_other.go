//go:build !unix

package process

import "errors"

// Suspend is not supported here.
func (c *Child) Suspend() error { return errors.ErrUnsupported }

// Resume is not supported here.
func (c *Child) Resume() error { return errors.ErrUnsupported }
