package switchgeartest

import (
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/datapunk/switchgear/breaker"
)

var update = flag.Bool("update", false, "write what comes of the scripts into the golden logs")

type engine struct{ *breaker.Breaker }

func (e engine) Acquire() (Permit, error) {
	p, err := e.Breaker.Acquire()
	if err != nil {
		return nil, err
	}
	return &p, nil
}

type owner struct{ Hooks }

func (o owner) Rejected(_ *breaker.Breaker, r breaker.Rejection) error {
	return &breaker.NotPermittedError{Rejection: r}
}
func (o owner) Changed(_ *breaker.Breaker, t breaker.Transition) { o.Hooks.Changed(t) }
func (o owner) Active(*breaker.Breaker)                          {}
func (o owner) Failed(*breaker.Breaker)                          {}
func (o owner) Answered(_ *breaker.Breaker, token uint64, used bool, out breaker.Outcome) {
	o.Hooks.Answered(token, used, out)
}

func newEngine(s *breaker.Settings, clock *breaker.Clock, h Hooks) Breaker {
	return engine{breaker.New(s, breaker.Options{Clock: clock, Owner: owner{h}})}
}

func TestGoldenLogs(t *testing.T) {
	if *update {
		for name, log := range Logs() {
			got, err := Play(newEngine, log)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if err := os.WriteFile(filepath.Join("golden", name+".txt"), []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		t.Log("written; run again to check")
		return
	}
	Run(t, newEngine)
}
