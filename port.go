package switchgear

import (
	"context"
	"errors"
	"time"

	"github.com/datapunk/switchgear/internal/fleet"
)

// port is the manager as a link sees it.
type port Manager

func (p *port) Hello() fleet.Hello {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.replica.Hello((*Manager)(p).now(), Version)
}

func (p *port) Next(ctx context.Context) (fleet.Report, error) {
	m := (*Manager)(p)
	for {
		m.mu.Lock()
		now := m.now()
		due := m.replica.Due(now)
		if due <= now {
			r, ok := m.replica.Report(now)
			m.mu.Unlock()
			if ok {
				return r, nil
			}
			continue
		}
		idle := m.replica.Idle()
		m.mu.Unlock()
		var timer <-chan time.Time
		if !idle {
			timer = time.After(due - now)
		}
		select {
		case <-ctx.Done():
			return m.last(ctx)
		case <-m.done:
			return m.final(), nil
		case <-m.due:
		case <-timer:
		}
	}
}

// last is what Next returns when its context has ended: for good, everything.
func (m *Manager) last(ctx context.Context) (fleet.Report, error) {
	cause := context.Cause(ctx)
	if !errors.Is(cause, fleet.ErrClosing) {
		return fleet.Report{}, cause
	}
	return m.final(), nil
}

// final is all that is left to tell: the link ends with it.
func (m *Manager) final() fleet.Report {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.replica.Final(m.now())
}

func (p *port) Obey(ds []fleet.Directive) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := (*Manager)(p).now()
	for _, d := range ds {
		p.replica.Obey(now, d)
	}
	if len(ds) > 0 {
		(*Manager)(p).woken()
	}
}

func (p *port) Linked(address string, err error) {
	was := p.linked.Swap(err == nil)
	p.mu.Lock()
	p.replica.Linked((*Manager)(p).now(), err == nil)
	p.mu.Unlock()
	if err == nil {
		p.linkUps.Add(1)
	} else {
		p.linkFailures.Add(1)
	}
	switch {
	case err == nil:
		p.log.Info("linked to daemon", "address", address)
	case was:
		p.log.Warn("link to daemon lost; breakers go on by themselves", "address", address, "error", err)
	default:
		p.log.Debug("daemon not reached", "address", address, "error", err)
	}
}
