package main

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"io"
	"strings"
	"testing"
)

// fake is a driver without a database: no row at first, then a balance, then the
// connection is gone.
type fake struct{ queries int }

func (f *fake) Connect(context.Context) (driver.Conn, error) { return f, nil }
func (f *fake) Driver() driver.Driver                        { return nil }
func (f *fake) Prepare(string) (driver.Stmt, error)          { return nil, errors.ErrUnsupported }
func (f *fake) Begin() (driver.Tx, error)                    { return nil, errors.ErrUnsupported }
func (f *fake) Close() error                                 { return nil }

func (f *fake) QueryContext(context.Context, string, []driver.NamedValue) (driver.Rows, error) {
	f.queries++
	switch f.queries {
	case 1:
		return new(rows), nil
	case 2:
		return &rows{left: 1}, nil
	}
	return nil, io.ErrUnexpectedEOF
}

type rows struct{ left int }

func (r *rows) Columns() []string { return []string{"balance"} }
func (r *rows) Close() error      { return nil }
func (r *rows) Next(row []driver.Value) error {
	if r.left == 0 {
		return io.EOF
	}
	r.left--
	row[0] = int64(42)
	return nil
}

func TestItOpensWhenTheDatabaseIsGone(t *testing.T) {
	f := new(fake)
	db := sql.OpenDB(f)
	defer db.Close()
	var out strings.Builder
	if err := run(t.Context(), &out, db); err != nil {
		t.Fatal(err)
	}
	if want := "no such account\nbalance 42\n20 queries, the next was not sent\n"; out.String() != want {
		t.Errorf("it printed %q: want %q", out.String(), want)
	}
	if f.queries != 20 {
		t.Errorf("%d queries reached the driver: want the 20 that opened it", f.queries)
	}
}
