package cause

import "testing"

func TestOnlyTheOwnNetworkIsBelieved(t *testing.T) {
	for host, want := range map[string]bool{
		"payments": true, "payments:443": true, "PAYMENTS.": true,
		"payments.shop.svc": true, "payments.shop.svc.cluster.local:80": true, "db.internal": true,
		"127.0.0.1:80": true, "[::1]:80": true, "10.1.2.3": true, "192.168.0.9:1": true, "[fd00::1]:9": true, "169.254.1.1": true,
		"::ffff:10.0.0.1": true, "::ffff:8.8.8.8": false,
		"": false, ":443": false, "api.example.com": false, "api.example.com:443": false, "8.8.8.8:443": false, "[2001:4860::1]:443": false,
		"svc.evil.com": false, "payments.svc.evil.com": false, "evil.com#.svc.x": false, "internal.example.org": false,
	} {
		if got := Inside(host); got != want {
			t.Errorf("Inside(%q) = %v: want %v", host, got, want)
		}
	}
}
