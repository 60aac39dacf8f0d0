"""Rules of the breaker, without a daemon: python3 -m unittest, in this folder."""

import time
import unittest

import switchgear
from switchgear import CLOSED, HALF_OPEN, OPEN


def fail():
    raise TimeoutError


class Rules(unittest.TestCase):
    def setUp(self):
        self.client = switchgear.Client("http://127.0.0.1:1", "web")
        self.addCleanup(self.client.close)
        self.breaker = self.client.breaker("db")

    def told(self, counter, state, share=0.0, ttl="60s", **more):
        self.breaker.obey(time.monotonic(), {"circuit": self.breaker.circuit, "epoch": {"counter": str(counter)}, "ttl": ttl, "enforce": True,
                                             "gate": {"state": state, "share": share, "generation": str(counter), "reason": "told so"}, **more})

    def permitted(self, n):
        count = 0
        for _ in range(n):
            try:
                self.breaker.call(lambda: None)
                count += 1
            except switchgear.NotPermitted:
                pass
        return count

    def test_its_own_rule_opens_at_half_of_twenty(self):
        for i in range(20):
            self.assertEqual(self.breaker.state, CLOSED)
            self.assertRaises(TimeoutError, self.breaker.call, fail)
        self.assertEqual((self.breaker.state, self.breaker.why, self.permitted(5)), (OPEN, "20 of 20 calls failed", 0))

    def test_a_word_ends_with_its_time_to_live(self):
        self.told(1, OPEN)
        self.assertEqual(self.permitted(5), 0)
        self.breaker.until = time.monotonic()
        self.breaker.since -= switchgear.WAIT
        self.permitted(1)
        self.assertEqual((self.breaker.held, self.breaker.state), (None, OPEN))  # its own wait begins
        self.breaker.since -= switchgear.WAIT
        self.assertEqual((self.permitted(5), self.breaker.state), (5, CLOSED))  # its probe succeeded

    def test_an_older_word_is_ignored(self):
        self.told(2, OPEN)
        self.told(1, CLOSED, share=1.0)
        self.assertEqual(self.breaker.state, OPEN)

    def test_an_unknown_state_is_never_enforced(self):
        self.told(1, "STATE_OF_ANOTHER_DAY")
        self.told(2, "STATE_UNSPECIFIED")
        self.assertEqual((self.breaker.held, self.permitted(5)), (None, 5))

    def test_what_cant_be_read_changes_nothing(self):
        for more in ({"gate": {"state": OPEN, "share": "NaN"}}, {"gate": {"state": OPEN, "share": -1}}, {"ttl": "soon"}, {"ttl": 60},
                     {"leases": [{}]}, {"leases": [{"token": "1", "ttl": "x"}]}, {"gate": 7}, {"epoch": {"counter": "x"}}, {"override": {"ttl": "x"}}):
            d = {"circuit": self.breaker.circuit, "epoch": {"counter": "9"}, "ttl": "60s", "enforce": True, "gate": {"state": OPEN}}
            self.told(1, CLOSED, share=1.0)
            self.assertRaises((AttributeError, KeyError, TypeError, ValueError), self.breaker.obey, time.monotonic(), {**d, **more})
            self.assertEqual((self.breaker.state, self.permitted(5), self.breaker.leases, self.breaker.override), (CLOSED, 5, {}, None))

    def test_a_share_is_spread_evenly(self):
        self.told(1, CLOSED, share=0.25)
        self.assertEqual(self.permitted(100), 25)

    def test_a_lease_is_one_call_however_often_it_is_heard(self):
        self.told(1, HALF_OPEN, leases=[{"token": "7", "ttl": "5s"}])
        self.told(2, HALF_OPEN, leases=[{"token": "7", "ttl": "5s"}])
        self.assertEqual(self.permitted(5), 1)
        self.assertEqual([(a["token"], a["used"], a["verdict"]) for a in self.breaker.answers], [("7", True, "VERDICT_SUCCESS")])

    def test_an_unused_lease_is_given_back(self):
        self.told(1, OPEN, leases=[{"token": "7", "ttl": "5s"}])
        self.breaker.leases["7"] = time.monotonic()
        self.assertEqual(self.permitted(1), 0)
        self.assertEqual([(a["token"], a["used"]) for a in self.breaker.answers], [("7", False)])

    def test_leases_come_back_when_the_circuit_closes(self):
        self.told(1, HALF_OPEN, leases=[{"token": "7", "ttl": "5s"}])
        self.told(2, CLOSED, share=1.0)
        self.assertEqual([(a["token"], a["used"]) for a in self.breaker.answers], [("7", False)])

    def test_a_persons_word_stands_above_and_ends_half_open(self):
        self.told(1, CLOSED, share=1.0, override={"mode": "MODE_FORCED_OPEN", "reason": "migration", "ttl": "60s"})
        self.assertEqual(self.permitted(5), 0)
        self.told(2, OPEN, override={"mode": "MODE_METRICS_ONLY", "ttl": "60s"})
        self.assertEqual(self.permitted(5), 5)

    def test_a_report_without_an_answer_goes_again_with_its_number_and_older(self):
        self.breaker.call(lambda: None)
        report = self.client._report(False)
        now = time.monotonic()
        first, again = switchgear.aged(report, now + 0.2), switchgear.aged(report, now + 1.2)
        age = lambda r: r["circuits"][0]["cells"][0]["buckets"][0]["ageSteps"]
        self.assertEqual((first["sequence"], again["sequence"], age(again) - age(first)), ("1", "1", 10))

    def test_without_tls_only_loopback(self):
        self.assertRaises(ValueError, switchgear.Client, "http://10.0.0.1:7443", "web")


if __name__ == "__main__":
    unittest.main()
