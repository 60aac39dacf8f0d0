package config

import (
	"reflect"
	"testing"
)

func TestFlagsWinOverTheFileAndThatOverTheDefaults(t *testing.T) {
	file, err := parse([]byte("listen: 127.0.0.1:1\nlog: {format: json}\n"))
	if err != nil {
		t.Fatal(err)
	}
	flags := Default()
	flags.Listen, flags.Data = "127.0.0.1:2", "unused"
	c := Merge(file, flags, func(name string) bool { return name == "listen" })
	if c.Listen != "127.0.0.1:2" || c.Log.Format != "json" || c.Log.Level != "info" || c.Data == "unused" {
		t.Errorf("%+v", c)
	}
}

func TestAnEmptyFileIsTheDefaults(t *testing.T) {
	if c, err := parse(nil); err != nil || !reflect.DeepEqual(c, Default()) {
		t.Errorf("%+v, %v", c, err)
	}
}

// What is accepted is valid, whatever the file holds.
func FuzzConfig(f *testing.F) {
	f.Add([]byte("listen: 127.0.0.1:7443\ndev: true\ndata: d\nrecord: r\nlog: {format: json, level: warn}\n"))
	f.Add([]byte("a: &a [*a]\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := parse(data)
		if err != nil {
			return
		}
		if _, err := c.Level(); err != nil {
			t.Errorf("%+v was accepted: %v", c, err)
		}
	})
}
