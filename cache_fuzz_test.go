package switchgear

import (
	"crypto/sha256"
	"encoding/hex"
	"testing"
	"time"
)

// FuzzStateCache: whatever a cache gives, breakers wait no longer than settings
// allow, and nothing panics.
func FuzzStateCache(f *testing.F) {
	now := time.Now()
	f.Add([]byte(`{"service":"default/checkout","savedAt":"`+now.Format(time.RFC3339Nano)+`","breakers":[{"namespace":"x","callee":"y","state":"open","age":1,"wait":9223372036854775807,"share":-1}]}`), true)
	f.Add([]byte("switchgear-state/1 00\n{}"), false)
	f.Fuzz(func(t *testing.T, data []byte, sign bool) {
		if sign {
			sum := sha256.Sum256(data)
			data = append([]byte(stateFormat+" "+hex.EncodeToString(sum[:])+"\n"), data...)
		}
		m, err := New(Config{Service: "checkout"}, WithStateCache(fixed(data)))
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = m.Close() }()
		for _, b := range m.all() {
			v := b.engine.View()
			if left := v.Until - m.now(); left > b.engine.Settings().Wait.Max+time.Second {
				t.Errorf("waits %v", left)
			}
			if v.Share < 0 || v.Share > 1 {
				t.Errorf("share %v", v.Share)
			}
		}
	})
}

type fixed []byte

func (f fixed) Load(string) ([]byte, error) { return f, nil }
func (fixed) Save(string, []byte) error     { return nil }
