//go:build !unix

package switchgear

import (
	"errors"
	"os"
)

var errLocked = errors.New("locked by another process")

func lockFile(*os.File) error { return errors.New("locks of files are not supported here") }
