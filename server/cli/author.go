package cli

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/user"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// authorOption adds --author: who says it, by default who runs this.
func authorOption(cmd *cobra.Command) func() (string, error) {
	author := cmd.Flags().String("author", "", "`name` of who says so (default the system's user)")
	return func() (string, error) {
		if *author != "" {
			return *author, nil
		}
		if u, err := user.Current(); err == nil && u.Username != "" {
			return u.Username, nil
		}
		return "", usagef(cmd, "the system does not say who you are: give your name with --author")
	}
}

// yesOption adds --yes, and asks on a terminal without it. A script is never asked.
func yesOption(cmd *cobra.Command) (confirm func() error) {
	yes := cmd.Flags().BoolP("yes", "y", false, "don't ask on a terminal")
	return func() error {
		if *yes || !term.IsTerminal(int(os.Stdin.Fd())) {
			return nil
		}
		fmt.Fprint(cmd.ErrOrStderr(), "Go on? [y/N] ")
		answer := make(chan string, 1)
		go func() {
			line, _ := bufio.NewReader(os.Stdin).ReadString('\n')
			answer <- line
		}()
		select {
		case line := <-answer:
			if strings.HasPrefix(strings.ToLower(line), "y") {
				return nil
			}
			return errors.New("nothing was changed")
		case <-cmd.Context().Done():
			return withCode(exitInterrupted, cmd.Context().Err())
		}
	}
}
