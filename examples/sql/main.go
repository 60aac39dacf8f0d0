// Sql guards queries of a database with Do. A missing row is no failure of the
// database: a Classify hook says so.
package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"

	"github.com/datapunk/switchgear"
)

func main() {
	fmt.Println("Pass a *sql.DB of your driver to run; main_test.go shows it with a driver that only pretends to have a database.")
}

func run(ctx context.Context, out io.Writer, db *sql.DB) error {
	m, err := switchgear.New(switchgear.Config{Service: "checkout", Classify: func(r switchgear.Result) switchgear.Outcome {
		if errors.Is(r.Err, sql.ErrNoRows) {
			return switchgear.Outcome{}
		}
		return r.Default
	}})
	if err != nil {
		return err
	}
	defer m.Close()
	ledger := m.Breaker(switchgear.Key{Callee: "ledger"})
	for sent := 0; ; sent++ {
		balance, err := switchgear.Do(ctx, ledger, func(ctx context.Context) (balance int, err error) {
			err = db.QueryRowContext(ctx, "SELECT balance FROM accounts WHERE id = 1").Scan(&balance)
			return balance, err
		})
		switch {
		case errors.Is(err, switchgear.ErrNotPermitted):
			fmt.Fprintf(out, "%d queries, the next was not sent\n", sent)
			return nil
		case errors.Is(err, sql.ErrNoRows):
			fmt.Fprintln(out, "no such account")
		case err == nil:
			fmt.Fprintln(out, "balance", balance)
		}
	}
}
