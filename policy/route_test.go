package policy

import "testing"

func TestOnlyPoliciesThatAskForARouteGiveItACircuit(t *testing.T) {
	set := decode(t,
		one("all", ``, `"openAbove":40`),
		one("route", ``, `"selector":{"callee":"pay","route":"/refunds/*"},"openAbove":30`))
	bound, err := set.With(Environment{})
	if err != nil {
		t.Fatal(err)
	}
	pay := Service{Namespace: DefaultNamespace, Name: "pay"}
	for route, want := range map[string]bool{"/refunds/{id}": true, "/charges": false} {
		if got := bound.SelectsRoute(Circuit{Caller: Service{Namespace: DefaultNamespace, Name: "web"}, Callee: pay, Route: route}); got != want {
			t.Errorf("%s: own circuit %v, want %v", route, got, want)
		}
	}
	if bound.SelectsRoute(Circuit{Caller: pay, Callee: Service{Namespace: DefaultNamespace, Name: "web"}, Route: "/refunds/1"}) {
		t.Error("a policy for another callee's route gave this one a circuit")
	}
}
