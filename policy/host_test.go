package policy

import (
	"strings"
	"testing"
)

func TestHostsAreNormalised(t *testing.T) {
	for host, want := range map[string]string{
		"payments":                         "/payments",
		"Payments:8443":                    "/payments",
		"payments.shop.svc.cluster.local.": "shop/payments",
		"payments.shop.svc.corp.example":   "shop/payments",
		"payments.shop.svc:443":            "shop/payments",
		"a.b.c.svc.cluster.local":          "/a.b.c.svc.cluster.local",
		"api.example.com.":                 "/api.example.com",
		"10.0.0.7:8080":                    "/10.0.0.7:8080",
		"[::ffff:10.0.0.7]:80":             "/10.0.0.7:80",
		"[2001:DB8::0:1]:80":               "/%5B2001:db8::1%5D:80",
		"[::1]":                            "/::1",
		"::1":                              "/::1",
	} {
		if got := ParseHost(host).Callee().String(); got != want {
			t.Errorf("%s is %s: want %s", host, got, want)
		}
	}
}

func TestTheHostMapNamesCallees(t *testing.T) {
	set := decode(t,
		one("pay", "", `"selector":{"namespace":"bank","callee":"pay"},"hosts":["PAY.example.com.","10.0.0.7","[::1]:8443","*.pay.example.com"]`),
		one("admin", "", `"selector":{"callee":"pay-admin"},"hosts":["pay.example.com:9443","*.eu.pay.example.com"]`),
		one("web's own", "", `"selector":{"callee":"stub","caller":"web"},"hosts":["stub.example.com"]`))
	for host, want := range map[string]string{
		"pay.example.com":          "bank/pay",
		"Pay.Example.com:443":      "bank/pay",
		"pay.example.com:9443":     "/pay-admin",
		"a.pay.example.com":        "bank/pay",
		"b.a.pay.example.com:80":   "bank/pay",
		"a.eu.pay.example.com":     "/pay-admin",
		"10.0.0.7:8080":            "bank/pay",
		"10.0.0.8:8080":            "/10.0.0.8:8080",
		"[0:0::1]:8443":            "bank/pay",
		"[::1]:80":                 "/%5B::1%5D:80",
		"stub.example.com":         "/stub",
		"users.shop.svc":           "shop/users",
		"example.com":              "/example.com",
		"xpay.example.com":         "/xpay.example.com",
		strings.Repeat("a.", 2000): "/" + strings.Repeat("a.", 1999) + "a",
	} {
		if got := set.Callee("web", host).String(); got != want {
			t.Errorf("%.40s is %.40s: want %.40s", host, got, want)
		}
	}
	if got := set.Callee("batch", "stub.example.com").Name; got != "stub.example.com" {
		t.Errorf("another caller's host map is used: %s", got)
	}
}

func TestHostsOfAPolicyAreChecked(t *testing.T) {
	for spec, want := range map[string]string{
		`"hosts":["a"]`: "name it, exactly, in selector.callee",
		`"hosts":["a"],"selector":{"callee":"p*"}`:             "name it, exactly",
		`"hosts":["a"],"selector":{"callee":"p","route":"/x"}`: "leave selector.route out",
		`"hosts":["http://a"],"selector":{"callee":"p"}`:       `spec.hosts[0]: "http://a": want a host like`,
		`"hosts":["a*"],"selector":{"callee":"p"}`:             "want a host like",
		`"hosts":["*.*.a"],"selector":{"callee":"p"}`:          "want a host like",
		`"hosts":["a:"],"selector":{"callee":"p"}`:             "no port stands behind the colon",
		`"hosts":["a:http"],"selector":{"callee":"p"}`:         "want a host like",
		`"hosts":["a:70000"],"selector":{"callee":"p"}`:        "want a host like",
		`"hosts":[7],"selector":{"callee":"p"}`:                "want a text in quotes",
		`"hosts":{},"selector":{"callee":"p"}`:                 "want a list of hosts",
		`"hosts":[` + strings.Repeat(`"a",`, 256) + `"a"]`:     "257 hosts: at most 256",
	} {
		if _, err := Decode([]byte(one("p", "", spec))); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60s: %v: want %q", spec, err, want)
		}
	}
}
