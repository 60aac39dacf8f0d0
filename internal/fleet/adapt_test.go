package fleet

import (
	"errors"
	"testing"

	"github.com/datapunk/switchgear/breaker"
	"github.com/datapunk/switchgear/policy"
)

// ordered is a directive with settings.
func ordered(counter uint64, s policy.Settings) Directive {
	d := said(counter, Gate{State: breaker.Closed, Share: 1, Generation: 1})
	s = s.WithDefaults()
	d.Settings = &s
	return d
}

func TestSettingsWithAStrategyThatIsNotHereAreRefused(t *testing.T) {
	p := newProcess(t)
	c := p.guard()
	p.Obey(p.now, ordered(1, policy.Settings{Strategy: "none", Quorum: 7}))
	if c.Settings().Quorum == 7 {
		t.Error("a breaker is left without a rule")
	}
	p.Obey(p.now, ordered(2, policy.Settings{Quorum: 8}))
	if c.Settings().Quorum != 8 {
		t.Error("settings without a strategy are refused too")
	}
}

func TestSettingsOfControlAreAdaptedToTheProcess(t *testing.T) {
	p := newProcess(t)
	c := p.guard()
	p.AdaptWith(func(s *policy.Settings) error {
		if s.Strategy != "own" {
			return errors.New("another")
		}
		s.Breaker.Mode = breaker.MetricsOnly
		return nil
	})
	p.Obey(p.now, ordered(1, policy.Settings{Strategy: "own"}))
	if c.Breaker.View().Mode != breaker.MetricsOnly {
		t.Error("control overrules what the process is held to")
	}
}

func TestSettingsThatSayTheSameAreNotToldAgain(t *testing.T) {
	p := newProcess(t)
	c := p.guard()
	p.call(c, failure)
	p.samples(2 * CalmInterval)
	p.Report(p.now)
	same := *c.Settings()
	c.Update(&same)
	if r, _ := p.Report(p.now); len(r.Circuits) > 0 && r.Circuits[0].Settings != nil {
		t.Error("settings that say the same are told again")
	}
	other := same
	other.Quorum = 9
	c.Update(&other)
	if r, ok := p.Report(p.now); !ok || len(r.Circuits) != 1 || r.Circuits[0].Settings == nil || r.Circuits[0].Settings.Quorum != 9 {
		t.Errorf("report %+v: want the new settings", r)
	}
}
