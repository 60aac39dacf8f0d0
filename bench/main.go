// Bench runs the same work on switchgear and on other circuit breakers for Go,
// in one process and in interleaved rounds, and prints medians: a table, or with
// --json an object of work, library and figure. A round whose counts are not
// exact fails it.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"time"
)

func main() {
	if len(os.Args) == 2 && os.Args[1] == million {
		w, err := weighed()
		if err == nil {
			err = json.NewEncoder(os.Stdout).Encode(w)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, "bench:", err)
			os.Exit(1)
		}
		return
	}
	asJSON := flag.Bool("json", false, "print an object: work, library, figure")
	rounds := flag.Int("rounds", 7, "rounds of each work and library; their median is shown")
	length := flag.Duration("round", 40*time.Millisecond, "length of one round, at least")
	flag.Parse()
	results, err := measure(*rounds, *length)
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
	if *asJSON {
		err = json.NewEncoder(os.Stdout).Encode(results.figures())
	} else {
		err = results.table(os.Stdout)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench: print the results:", err)
		os.Exit(1)
	}
}
