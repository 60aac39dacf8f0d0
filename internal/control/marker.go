package control

import (
	"fmt"
	"time"

	"github.com/datapunk/switchgear/policy"
)

// Marker is a change that somebody has made, such as a deployment.
type Marker struct {
	Service policy.Service
	Text    string
	// Ago is how long ago that was.
	Ago time.Duration `json:",omitempty"`
}

// maxMarkers bounds the services of which the last change is remembered.
const maxMarkers = 10_000

type marked struct {
	text string
	at   time.Duration
}

// mark remembers a service's last change, for whoever asks why.
func (m *Mind) mark(k *Marker) {
	if policy.ValidName(k.Service.Namespace) != nil || policy.ValidName(k.Service.Name) != nil || len(k.Text) > maxOrderText || k.Ago < 0 {
		return
	}
	if _, had := m.markers[k.Service]; !had && len(m.markers) >= maxMarkers {
		return
	}
	m.markers[k.Service] = marked{k.Text, m.now - k.Ago}
}

// recentMarker is for how long a change is worth telling.
const recentMarker = 15 * time.Minute

func (m *Mind) marker(s policy.Service) string {
	k, found := m.markers[s]
	if !found || m.now-k.at > recentMarker {
		return ""
	}
	return fmt.Sprintf("%s was changed %s ago: %s", s.Name, short(m.now-k.at), k.text)
}
