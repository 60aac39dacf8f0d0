// Package switchgear guards the calls of a service with circuit breakers that
// decide locally in nanoseconds and, with a daemon, learn together.
//
// New makes a Manager; its Breaker gives the breaker of a callee, made at first
// use. Package breakerhttp guards an http.Client in one line; Do guards any
// function. Where no policy sets a threshold control decides by what the calls
// show: in the process for itself, or, once package link has connected it to a
// daemon, for the whole fleet, while the daemon's word is fresh. No call ever
// waits for either.
//
// Everything exported is safe for concurrent use, except a Permit.
package switchgear

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strconv"

	"github.com/datapunk/switchgear/policy"
)

// Version of the library, as it tells a daemon.
const Version = "0.1.0-dev"

// Config says who the process is.
type Config struct {
	// Service is the name of this program in the mesh. Required, 1–253 bytes.
	Service string
	// Namespace of the service; policy.DefaultNamespace if empty.
	Namespace string
	// Replica names this process; host name and process id if empty.
	Replica string
	// Labels of the process, like zone or version, that policies can select it by.
	Labels map[string]string
	// MaxBreakers bounds the breakers of the process, 1 to 10 million; 10,000 if 0. Keys
	// beyond share the breaker of the callee "other", which is logged once.
	MaxBreakers int
	// Circuits are made by New, so that their series are there from the start.
	Circuits []Key
	// Logger hears of state changes (Info) and of what degrades (Warn); none if nil.
	Logger *slog.Logger
	// Classify judges results of every transport; Result.Default is switchgear's
	// own judgement, used if Classify is nil. It may not block.
	Classify func(Result) Outcome
}

// Option is a rarer choice of New.
type Option interface{ apply(*Manager) error }

type optionFunc func(*Manager) error

func (f optionFunc) apply(m *Manager) error { return f(m) }

// Settings of a circuit: what its breakers do alone, and what control does with
// all of them together.
type Settings = policy.Settings

// WithSettings sets what breakers run on where no policy says otherwise. Fields
// that are 0 and have a default get it.
func WithSettings(s Settings) Option {
	return optionFunc(func(m *Manager) error {
		s = s.WithDefaults()
		if err := s.Validate(); err != nil {
			return fmt.Errorf("settings: %w", err)
		}
		m.env.Base = &s
		return nil
	})
}

// WithPolicyFile reads policies from a JSON file, at New, where a file that can't
// be read or is not valid is an error with line and field. From the first call on
// it is looked at twice a second, so that a change reaches every breaker within
// one, with its state kept; what is wrong then is logged, and the last good
// policies stay.
func WithPolicyFile(path string) Option {
	return optionFunc(func(m *Manager) error {
		m.file = &policyFile{path: path}
		return nil
	})
}

// WithStrategy gives a name to a rule of the team's own, a pure function of the
// window; policies choose it by that name.
func WithStrategy(name string, s func(Window) (open bool, why string)) Option {
	return optionFunc(func(m *Manager) error {
		if s == nil {
			return fmt.Errorf("strategy %q: no function", name)
		}
		m.env.Strategies[name] = s
		return nil
	})
}

// New makes a manager. It starts no goroutine; the first call does. Close it.
func New(cfg Config, options ...Option) (*Manager, error) {
	m := newManager(cfg)
	if cfg.Service == "" {
		return nil, errors.New("switchgear: Config.Service is empty: name this program as its callers and policies call it")
	}
	for _, f := range []struct{ what, name string }{{"Service", m.service.Name}, {"Namespace", m.service.Namespace}, {"Replica", m.id().Name}} {
		if err := policy.ValidName(f.name); err != nil {
			return nil, fmt.Errorf("switchgear: Config.%s: %w", f.what, err)
		}
	}
	if cfg.MaxBreakers < 0 || cfg.MaxBreakers > 10_000_000 {
		return nil, fmt.Errorf("switchgear: Config.MaxBreakers is %d: want 1 to 10,000,000, or 0 for %d", cfg.MaxBreakers, defaultMaxBreakers)
	}
	for _, o := range options {
		if err := o.apply(m); err != nil {
			return nil, fmt.Errorf("switchgear: %w", err)
		}
	}
	if err := m.begin(); err != nil {
		return nil, fmt.Errorf("switchgear: %w", err)
	}
	if m.cache != nil {
		m.load()
	}
	for _, k := range cfg.Circuits {
		if err := m.circuitOf(k).Validate(); err != nil {
			return nil, fmt.Errorf("switchgear: Config.Circuits: %s: %w", k, err)
		}
		m.Breaker(k)
	}
	return m, nil
}

func replicaName() string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return host + "-" + strconv.Itoa(os.Getpid())
}

// incarnation differs between two processes of one name; a seed comes of it too.
func incarnation() uint64 {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails: crypto/rand ends the process instead
	return binary.LittleEndian.Uint64(b[:]) >> 1
}
