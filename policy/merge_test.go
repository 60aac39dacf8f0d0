package policy

import "testing"

func TestADecodedPolicyIsNeverDroppedInTheMerge(t *testing.T) {
	set, err := Decode([]byte(`{"apiVersion": "switchgear/v1", "kind": "CircuitPolicy", "metadata": {"name": "slow"}, "spec": {"selector": {}, "failureRateThreshold": 60, "waitDurationInOpenState": "30s"}}`))
	if err != nil {
		t.Fatal(err)
	}
	base := Default()
	got := set.Settings(Circuit{Caller: Service{"default", "web"}, Callee: Service{"default", "db"}}, &base, nil)
	if got.Revision != "slow" || got.Breaker.FailureRateThreshold != 60 {
		t.Errorf("revision %q, threshold %v, %+v: the policy was dropped without a word", got.Revision, got.Breaker.FailureRateThreshold, got.Breaker.Wait)
	}
}
