// Command switchgear is the daemon, and the command line that asks it.
package main

import (
	"os"

	"github.com/datapunk/switchgear/server/cli"
	"github.com/datapunk/switchgear/server/process"
)

func main() {
	process.Leash() // who started it and dies takes it along
	os.Exit(cli.Main())
}
