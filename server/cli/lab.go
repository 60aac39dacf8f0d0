package cli

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/datapunk/switchgear/server/proxy"
)

func newLabCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "lab",
		Short: "Try things out: faults on demand, simulated meshes, replay of what was recorded, measured defaults",
		Args:  args(0, ""),
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newLabProxyCommand(), newLabReplayCommand(), newLabSimulateCommand(), newLabScenariosCommand(), newLabDefaultsCommand(), newLabEvaluateCommand(), newLabScaleCommand(), newLabLinkCommand())
	return cmd
}

func newLabProxyCommand() *cobra.Command {
	c := proxy.Config{}
	var admin string
	cmd := &cobra.Command{
		Use:   "proxy --to ADDR",
		Short: "A loopback proxy that fails, delays, resets, hangs or limits what passes",
		Long: `Passes HTTP, or with --tcp any bytes, on to another address, with the faults
that the flags name. It listens on loopback only. Faults can be changed while it
runs, at an address of its own that it prints; each change replaces all of them,
an empty one is the cure.

Shares hit exactly that share of any run of requests, out of step with callers
that take turns. On Ctrl-C it prints what it has seen and done.`,
		Example: `  switchgear lab proxy --to 127.0.0.1:8080 --fail 50%
  switchgear lab proxy --listen 127.0.0.1:9090 --to 127.0.0.1:8080 --delay 200ms --jitter 50ms
  switchgear lab proxy --to 127.0.0.1:8080 --capacity 100/s
  switchgear lab proxy --tcp --to 127.0.0.1:5432 --hang
  curl -d fail=100 -d status=500 http://127.0.0.1:ADMIN/faults   # change
  curl -X POST http://127.0.0.1:ADMIN/faults                     # cure`,
		Args: args(0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if c.To == "" {
				return usagef(cmd, "--to is missing: the address to pass on to")
			}
			if err := c.Faults.Validate(c.TCP); err != nil {
				return usagef(cmd, "%w", err)
			}
			return runProxy(cmd, c, admin)
		},
	}
	f := cmd.Flags()
	f.StringVar(&c.Listen, "listen", "127.0.0.1:0", "loopback address to listen on; port 0 is any free one")
	f.StringVar(&c.To, "to", "", "address to pass on to: HOST:PORT or http://HOST:PORT")
	f.StringVar(&admin, "admin", "127.0.0.1:0", "loopback address to change faults at")
	f.BoolVar(&c.TCP, "tcp", false, "pass on any bytes, not HTTP")
	f.Uint64Var(&c.Seed, "seed", 1, "of the order in which shares hit")
	for _, w := range proxy.Words {
		flag := f.VarPF(&faultFlag{&c.Faults, w.Name}, w.Name, "", fmt.Sprintf("%s, as in %s", w.Use, w.Example))
		if w.Switch {
			flag.NoOptDefVal, flag.Usage = "true", w.Use
		}
	}
	return cmd
}

// faultFlag sets one fault by its name.
type faultFlag struct {
	faults *proxy.Faults
	name   string
}

var _ pflag.Value = (*faultFlag)(nil)

func (f *faultFlag) String() string     { return "" }
func (f *faultFlag) Type() string       { return "value" }
func (f *faultFlag) Set(s string) error { return f.faults.Set(f.name, s) }

func runProxy(cmd *cobra.Command, c proxy.Config, adminAddress string) error {
	ctx := cmd.Context()
	if err := proxy.OnLoopback(adminAddress); err != nil {
		return usagef(cmd, "--admin %s: %w", adminAddress, err)
	}
	if err := proxy.OnLoopback(c.Listen); err != nil {
		return usagef(cmd, "--listen %s: %w", c.Listen, err)
	}
	p, err := proxy.Start(c)
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("%w; choose another address with --listen, with port 0 any free one", err)
	}
	if err != nil {
		return err
	}
	defer p.Close()
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", adminAddress)
	if err != nil {
		return fmt.Errorf("listen on --admin %s: %w", adminAddress, err)
	}
	admin := &http.Server{Handler: p.Admin(), ReadHeaderTimeout: 5 * time.Second}
	defer context.AfterFunc(ctx, func() { admin.Close() })()

	out := cmd.OutOrStdout()
	fmt.Fprintf(out, "%s passes on to %s, faults: %s\n", p.Addr(), c.To, p.Faults())
	fmt.Fprintf(out, "change them: curl -d fail=50 http://%s/faults\n", l.Addr())
	if err := admin.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve --admin %s: %w", adminAddress, err)
	}
	fmt.Fprintln(out, p.Counts())
	return nil
}
