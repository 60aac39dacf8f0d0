// Package config is what a daemon can be told by a file: strict YAML, in which a
// field that nobody knows is an error. Flags of the command line win over it.
package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"go.yaml.in/yaml/v3"
)

// Config is what serve can be told, by flags or by a file.
type Config struct {
	Listen string `yaml:"listen"`
	Dev    bool   `yaml:"dev"`
	Data   string `yaml:"data"`
	Record string `yaml:"record"`
	// ActiveCheckNetworks are where a policy's active checks may be made, as CIDR.
	ActiveCheckNetworks []string `yaml:"activeCheckNetworks"`
	// MaxOverride is how long an override or a pause lasts at most.
	MaxOverride time.Duration `yaml:"maxOverride"`
	Log         Log           `yaml:"log"`
}

// Log is how the daemon logs, on standard error.
type Log struct {
	Format string `yaml:"format"`
	Level  string `yaml:"level"`
}

const maxSize = 1 << 20

// Default is what holds where neither says anything.
func Default() Config {
	return Config{Listen: "127.0.0.1:7443", Data: defaultData(), MaxOverride: 24 * time.Hour, Log: Log{Format: "text", Level: "info"}}
}

// defaultData is the user's own state directory, by the convention of desktops.
func defaultData() string {
	if dir := os.Getenv("XDG_STATE_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "switchgear")
	}
	if home, err := os.UserHomeDir(); err == nil {
		return filepath.Join(home, ".local", "state", "switchgear")
	}
	return ""
}

// Read reads a file strictly: a field that nobody knows is an error with its
// line, since it is one that would not act.
func Read(file string) (Config, error) {
	var c Config
	f, err := os.Open(file)
	if err != nil {
		return c, fmt.Errorf("config: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxSize+1))
	if err != nil {
		return c, fmt.Errorf("config: %w", err)
	}
	if len(data) > maxSize {
		return c, fmt.Errorf("config %s: more than %d bytes", file, maxSize)
	}
	if c, err = parse(data); err != nil {
		return c, fmt.Errorf("config %s: %w", file, err)
	}
	return c, nil
}

func parse(data []byte) (Config, error) {
	c := Default()
	d := yaml.NewDecoder(bytes.NewReader(data))
	d.KnownFields(true)
	if err := d.Decode(&c); err != nil && !errors.Is(err, io.EOF) {
		return c, err
	}
	if !errors.Is(d.Decode(new(any)), io.EOF) {
		return c, errors.New("more than one document")
	}
	_, err := c.Level()
	return c, err
}

// Merge lets those of flags that were given, by their names, win over a file.
func Merge(file, flags Config, given func(flag string) bool) Config {
	pick := func(name string, take func()) {
		if given(name) {
			take()
		}
	}
	pick("listen", func() { file.Listen = flags.Listen })
	pick("dev", func() { file.Dev = flags.Dev })
	pick("data", func() { file.Data = flags.Data })
	pick("record", func() { file.Record = flags.Record })
	pick("active-check-network", func() { file.ActiveCheckNetworks = flags.ActiveCheckNetworks })
	pick("max-override", func() { file.MaxOverride = flags.MaxOverride })
	pick("log-format", func() { file.Log.Format = flags.Log.Format })
	pick("log-level", func() { file.Log.Level = flags.Log.Level })
	return file
}

// Level checks what is said about logs, and gives their level.
func (c Config) Level() (slog.Level, error) {
	if c.Log.Format != "text" && c.Log.Format != "json" {
		return 0, fmt.Errorf("log format %q: want text or json", c.Log.Format)
	}
	levels := map[string]slog.Level{"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError}
	l, ok := levels[c.Log.Level]
	if !ok {
		return 0, fmt.Errorf("log level %q: want debug, info, warn or error", c.Log.Level)
	}
	return l, nil
}
