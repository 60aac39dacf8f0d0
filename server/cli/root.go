// Package cli is the command line of switchgear. Data goes to standard output,
// words to standard error; the exit code says how it ended.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
)

// commands are all that there are, in the order in which help lists them.
var commands = []func() *cobra.Command{
	newDemoCommand,
	newDemoServiceCommand,
	newLiveReplicaCommand,
	newServeCommand,
	newGetCommand,
	newWhyCommand,
	newTopCommand,
	newForceCommand,
	newReleaseCommand,
	newPauseCommand,
	newResumeCommand,
	newMarkCommand,
	newApplyCommand,
	newDiffCommand,
	newLintCommand,
	newPolicyCommand,
	newLabCommand,
	newVersionCommand,
}

// Main runs the command line of this process and returns its exit code.
func Main() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	return run(ctx, os.Args[1:], os.Stdout, os.Stderr)
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	root := newRoot()
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitOK
	}
	code := codeOf(err)
	if err.Error() != "" && !errors.Is(err, context.Canceled) {
		fmt.Fprintf(stderr, "switchgear: %v\n", err)
	}
	return code
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "switchgear",
		Short: "Circuit breakers that learn together",
		Long: `switchgear watches over the circuit breakers of a fleet: replicas report what
they see, and learn together in under a second which breaker to open, where and
for how long. Calls never wait for it.

Try it:  switchgear demo
Use it:  switchgear serve --dev        and, elsewhere,  switchgear get circuits

Exit codes: 0 ok, 1 failed, 2 usage, 3 invalid, 4 not allowed, 5 not found,
6 conflict, 7 unavailable, 130 interrupted.`,
		SilenceUsage: true, SilenceErrors: true,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			return usagef(cmd, "there is no command %q%s", args[0], suggest(cmd, args[0]))
		},
		RunE:              func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		CompletionOptions: cobra.CompletionOptions{HiddenDefaultCmd: true},
	}
	cobra.EnableCommandSorting = false
	root.SetHelpCommand(&cobra.Command{Hidden: true})
	for _, command := range commands {
		root.AddCommand(command())
	}
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error { return usagef(cmd, "%w", err) })
	return root
}

func suggest(cmd *cobra.Command, word string) string {
	cmd.SuggestionsMinimumDistance = 2
	if near := cmd.SuggestionsFor(word); len(near) > 0 {
		return "; did you mean " + strings.Join(near, " or ") + "?"
	}
	return ""
}

// exitError carries an exit code.
type exitError struct {
	error
	code int
}

func (e exitError) Unwrap() error { return e.error }

// withCode gives err an exit code; nil stays nil.
func withCode(code int, err error) error {
	if err == nil {
		return nil
	}
	return exitError{err, code}
}

// exit ends the program with a code; everything has been said already.
func exit(code int) error { return exitError{errors.New(""), code} }

// usagef is an error of what was asked, with where to read how to ask.
func usagef(cmd *cobra.Command, format string, args ...any) error {
	return exitError{fmt.Errorf("%w\nSee '%s --help'", fmt.Errorf(format, args...), cmd.CommandPath()), exitUsage}
}

// args checks the number of arguments, in the words of the command.
func args(n int, what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, given []string) error {
		switch {
		case len(given) < n:
			return usagef(cmd, "%s is missing", what)
		case len(given) > n:
			return usagef(cmd, "unexpected argument %q", given[n])
		}
		return nil
	}
}
