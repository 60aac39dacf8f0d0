// Command switchgear is the daemon, and the command line that asks it.
package main

import (
	"os"

	"github.com/datapunk/switchgear/server/cli"
	"github.com/datapunk/switchgear/server/demo"
)

func main() {
	demo.Leash() // a demo that dies takes its processes with it
	os.Exit(cli.Main())
}
