package fleet

import (
	"strings"
	"testing"
	"time"

	"github.com/datapunk/switchgear/breaker"
	"github.com/datapunk/switchgear/policy"
)

func ruledBy(counter uint64, mode breaker.Mode, ttl time.Duration) Directive {
	d := said(counter, Gate{Share: 1, Generation: counter})
	d.Override = &Override{ID: "o1", Mode: mode, Author: "ada", Reason: "migration", TTL: ttl}
	return d
}

// samples lets time pass as a shell does, a bucket at a time.
func (p *process) samples(d time.Duration) {
	for end := p.now + d; p.now < end; {
		p.pass(BucketWidth)
		p.Sample(p.now)
	}
}

func TestAnOverrideStandsPastItsDirectiveAndEndsOnTime(t *testing.T) {
	for _, enforce := range []bool{true, false} {
		p := newProcess(t)
		c := p.guard()
		p.call(c, breaker.Outcome{})
		d := ruledBy(1, breaker.ForcedOpen, 10*time.Minute)
		d.Enforce = enforce
		p.Obey(p.now, d)
		if v := c.Breaker.View(); v.Mode != breaker.ForcedOpen || !strings.Contains(v.ModeWhy, "ada: migration") {
			t.Fatalf("enforce %v: mode %v because %q: want forced open, and who did it", enforce, v.Mode, v.ModeWhy)
		}
		p.samples(5 * time.Minute) // no daemon says anything any more
		if p.call(c, breaker.Outcome{}) || c.Breaker.View().Mode != breaker.ForcedOpen {
			t.Fatalf("enforce %v: a call got through in mid-time", enforce)
		}
		p.samples(5*time.Minute - time.Second)
		if c.Breaker.View().Mode != breaker.ForcedOpen {
			t.Fatalf("enforce %v: it ended too soon", enforce)
		}
		p.samples(time.Second + BucketWidth)
		if v := c.Breaker.View(); v.Mode != breaker.Enforce || v.State != breaker.HalfOpen {
			t.Errorf("enforce %v: mode %v, state %v: want it ended by itself, half open", enforce, v.Mode, v.State)
		}
	}
}

func TestANewerDirectiveWithoutTheOverrideEndsIt(t *testing.T) {
	p := newProcess(t)
	c := p.guard()
	p.Obey(p.now, ruledBy(2, breaker.Off, time.Hour))
	p.Obey(p.now, said(1, Gate{Share: 1}))
	if c.Breaker.View().Mode != breaker.Off {
		t.Error("an older directive ended it")
	}
	p.Obey(p.now, said(3, Gate{Share: 1}))
	if v := c.Breaker.View(); v.Mode != breaker.Enforce || v.State != breaker.Closed {
		t.Errorf("%v, %v: want it ended", v.Mode, v.State)
	}
}

func TestAnInstanceHasAnOverrideOfItsOwn(t *testing.T) {
	p := newProcess(t)
	c := p.guard()
	d := said(1, Gate{Share: 1})
	d.Parts = []Part{{Instance: "10.0.0.1:80", Gate: Gate{Share: 1, Generation: 1}, Override: &Override{ID: "o", Mode: breaker.ForcedOpen, Author: "a", Reason: "r", TTL: time.Second}}}
	p.Obey(p.now, d)
	if c.Instance("10.0.0.1:80").View().Mode != breaker.ForcedOpen || c.Instance("10.0.0.2:80").View().Mode != breaker.Enforce || c.Breaker.View().Mode != breaker.Enforce {
		t.Error("want one instance forced open and nothing else")
	}
	p.samples(time.Second + BucketWidth)
	if v := c.Instance("10.0.0.1:80").View(); v.Mode != breaker.Enforce {
		t.Errorf("mode %v after its end", v.Mode)
	}
}

func TestAnEarlyOverrideIsObeyedByTheFirstCallForWhatIsLeft(t *testing.T) {
	p := newProcess(t)
	p.Obey(p.now, ruledBy(1, breaker.ForcedOpen, 5*time.Minute))
	p.pass(2 * time.Minute) // past the directive's own time
	c := p.guard()
	p.Sample(p.now)
	if p.call(c, breaker.Outcome{}) {
		t.Error("the first call got through")
	}
	p.samples(3*time.Minute + BucketWidth)
	if v := c.Breaker.View(); v.Mode != breaker.Enforce {
		t.Errorf("mode %v: want it ended when it had to", v.Mode)
	}
}

func TestHelloTellsWhatIsLeft(t *testing.T) {
	p := newProcess(t)
	p.guard()
	p.Obey(p.now, ruledBy(1, breaker.Off, time.Hour))
	p.samples(20 * time.Second)
	h := p.Hello(p.now, "test")
	if len(h.Held) != 1 || h.Held[0].TTL != 40*time.Second || h.Held[0].Override == nil || h.Held[0].Override.TTL != time.Hour-20*time.Second {
		t.Errorf("held %+v: want 40 s, and the override's rest", h.Held)
	}
	if again := p.Hello(p.now, "test"); again.Held[0].Override.TTL != time.Hour-20*time.Second {
		t.Error("telling it has changed it")
	}
}

func TestSettingsOfADirectiveApplyInPlace(t *testing.T) {
	p := newProcess(t)
	c := p.guard()
	p.call(c, failure)
	p.Obey(p.now, said(1, Gate{State: breaker.Open, Generation: 1}))
	s := policy.Default()
	s.Revision, s.Breaker.ConsecutiveFailures = "r2", 7
	before := c.Breaker.View()
	d := said(2, Gate{State: breaker.Open, Generation: 1})
	d.Settings = &s
	p.Obey(p.now, d)
	if v := c.Breaker.View(); v.State != before.State || v.Generation != before.Generation || v.Since != before.Since {
		t.Errorf("%+v: want state, generation and age to stay", v)
	}
	if got := c.Settings(); got.Revision != "r2" || got.Breaker.ConsecutiveFailures != 7 {
		t.Errorf("settings %+v", got)
	}
	p.samples(UrgentInterval + CalmInterval)
	d = said(3, Gate{State: breaker.Open, Generation: 1})
	d.Settings = &policy.Settings{}
	p.Obey(p.now, d)
	if c.Settings().Revision != "r2" {
		t.Error("settings that are none were put in force")
	}
}
