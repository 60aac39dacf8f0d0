package cli

import (
	"errors"
	"fmt"
	"log/slog"

	"github.com/spf13/cobra"

	"github.com/datapunk/switchgear/server/app"
	"github.com/datapunk/switchgear/server/config"
)

func newServeCommand() *cobra.Command {
	set := config.Default()
	var file string
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run the daemon: replicas attach to it, operators ask it",
		Long: `Run the daemon. Replicas attach to its address by the link, operators ask it over
the API, and /metrics, /healthz and /readyz answer there too.

Whoever reaches a daemon can open circuits, so without TLS and authentication it
listens on a loopback address alone, and says with --dev that this is wanted.
A daemon with --dev enforces its directives at once.

Flags win over the file of --config, and that over the defaults. The file is YAML
with the same names:

  listen: 127.0.0.1:7443
  dev: true
  data: /var/lib/switchgear
  record: ""
  activeCheckNetworks: []   # where policies' active checks may be made, as 10.0.0.0/8
  maxOverride: 24h          # how long an override or a pause lasts at most; up to 30 days
  log:
    format: text   # or json
    level: info    # debug, info, warn, error`,
		Example: `  switchgear serve --dev
  switchgear serve --dev --listen 127.0.0.1:9000 --data /tmp/switchgear`,
		Args: args(0, ""),
	}
	f := cmd.Flags()
	f.StringVar(&set.Listen, "listen", set.Listen, "`address` for link, API, metrics and health: loopback; port 0 takes a free one")
	f.BoolVar(&set.Dev, "dev", set.Dev, "serve this machine alone, without credentials, and enforce directives at once")
	f.StringVar(&set.Data, "data", set.Data, "`directory` for what is durable; made if missing; for one daemon at a time")
	f.StringVar(&file, "config", "", "`file` with these settings in YAML")
	f.StringVar(&set.Record, "record", set.Record, "`file` to write every input of control to, for replay")
	f.StringSliceVar(&set.ActiveCheckNetworks, "active-check-network", nil, "`network` in which active checks of policies may be made, such as 10.0.0.0/8; none by default")
	f.DurationVar(&set.MaxOverride, "max-override", set.MaxOverride, "how `long` an override or a pause lasts at most; a longer one is forgotten longer")
	f.StringVar(&set.Log.Format, "log-format", set.Log.Format, "text or json")
	f.StringVar(&set.Log.Level, "log-level", set.Log.Level, "debug, info, warn or error")

	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if file != "" {
			read, err := config.Read(file)
			if err != nil {
				return withCode(exitInvalid, err)
			}
			set = config.Merge(read, set, f.Changed)
		}
		level, err := set.Level()
		if err != nil {
			return usagef(cmd, "%w", err)
		}
		options := &slog.HandlerOptions{Level: level}
		var handler slog.Handler = slog.NewTextHandler(cmd.ErrOrStderr(), options)
		if set.Log.Format == "json" {
			handler = slog.NewJSONHandler(cmd.ErrOrStderr(), options)
		}
		a, err := app.New(app.Config{Listen: set.Listen, Dev: set.Dev, Data: set.Data, Record: set.Record, Checkable: set.ActiveCheckNetworks, MaxOverride: set.MaxOverride, Log: slog.New(handler)})
		switch {
		case errors.Is(err, app.ErrUsage):
			return usagef(cmd, "%w", err)
		case err != nil:
			return err
		}
		fmt.Fprintf(cmd.ErrOrStderr(), "switchgear serves on http://%s: attach replicas with link.Connect, ask with 'switchgear get circuits%s'\n",
			a.Address(), serverFlag(a.Address()))
		return a.Run(cmd.Context())
	}
	return cmd
}

// serverFlag is what to add to a question to this daemon.
func serverFlag(address string) string {
	if "http://"+address == defaultServer {
		return ""
	}
	return " --server http://" + address
}
