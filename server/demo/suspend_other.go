//go:build !unix

package demo

import "errors"

func (c *child) suspend() error { return errors.ErrUnsupported }

func (c *child) resume() error { return errors.ErrUnsupported }
