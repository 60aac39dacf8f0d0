package cli

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"

	"go.yaml.in/yaml/v3"
)

// config is what serve can be told, by flags or by a file.
type config struct {
	Listen string    `yaml:"listen"`
	Dev    bool      `yaml:"dev"`
	Data   string    `yaml:"data"`
	Record string    `yaml:"record"`
	Log    logConfig `yaml:"log"`
}

type logConfig struct {
	Format string `yaml:"format"`
	Level  string `yaml:"level"`
}

const maxConfig = 1 << 20

func defaultConfig() config {
	return config{Listen: "127.0.0.1:7443", Data: defaultData(), Log: logConfig{Format: "text", Level: "info"}}
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

// readConfig reads a file strictly: a field that nobody knows is an error with its
// line, since it is one that would not act.
func readConfig(file string) (config, error) {
	c := defaultConfig()
	f, err := os.Open(file)
	if err != nil {
		return c, fmt.Errorf("config: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxConfig+1))
	if err != nil {
		return c, fmt.Errorf("config: %w", err)
	}
	if len(data) > maxConfig {
		return c, fmt.Errorf("config %s: more than %d bytes", file, maxConfig)
	}
	d := yaml.NewDecoder(bytes.NewReader(data))
	d.KnownFields(true)
	if err := d.Decode(&c); err != nil && !errors.Is(err, io.EOF) {
		return c, fmt.Errorf("config %s: %w", file, err)
	}
	if !errors.Is(d.Decode(new(any)), io.EOF) {
		return c, fmt.Errorf("config %s: more than one document", file)
	}
	if _, err := c.level(); err != nil {
		return c, fmt.Errorf("config %s: %w", file, err)
	}
	return c, nil
}

// merge lets flags that were given win over the file.
func merge(file, flags config, given func(string) bool) config {
	pick := func(name string, take func()) {
		if given(name) {
			take()
		}
	}
	pick("listen", func() { file.Listen = flags.Listen })
	pick("dev", func() { file.Dev = flags.Dev })
	pick("data", func() { file.Data = flags.Data })
	pick("record", func() { file.Record = flags.Record })
	pick("log-format", func() { file.Log.Format = flags.Log.Format })
	pick("log-level", func() { file.Log.Level = flags.Log.Level })
	return file
}

// level checks what is said about logs.
func (c config) level() (slog.Level, error) {
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
