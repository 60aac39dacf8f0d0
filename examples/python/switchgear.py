"""A circuit breaker for Python that learns from the fleet, by the standard library alone.

    client = switchgear.Client("http://127.0.0.1:7443", service="billing")
    ledger = client.breaker("ledger")
    try:
        answer = ledger.call(fetch, url)
    except switchgear.NotPermitted as e:
        answer = fallback(e)

A call never waits for the daemon: one thread polls it (docs/protocol.md, "The poll"). While a
directive stands the fleet decides; without one, and when its time to live has ended by this
process's own clock, the breaker decides by its own rule: it opens at 50 % failures of at least
20 calls in 10 s, and lets one probe through after 5 s.
"""

import contextlib
import http.client
import json
import os
import random
import socket
import ssl
import threading
import time
import urllib.error
import urllib.parse

CLOSED, OPEN, HALF_OPEN = "STATE_CLOSED", "STATE_OPEN", "STATE_HALF_OPEN"
PATH = "/switchgear.link.v1.LinkService/Poll"
WINDOW, MINIMUM, THRESHOLD, WAIT = 10.0, 20, 0.5, 5.0  # the own rule
STEP, KEEP = 0.1, 60  # a bucket's width, and how many wait for a daemon that is away
KINDS = {"TIMEOUT": 1, "CONNECT": 2, "RESET": 3, "SERVER_ERROR": 4, "GATEWAY": 5, "RATE_LIMITED": 6, "APPLICATION": 7,
         "CANCELED": 8, "BAD_REQUEST": 9, "CALLER_DEADLINE": 10}


class NotPermitted(Exception):
    """The call was not made: a fallback is safe."""


def judge(error):
    """Says what an exception means: verdict and kind. None is a success."""
    if error is None:
        return "SUCCESS", ""
    if isinstance(error, urllib.error.HTTPError):
        if error.code < 500 and error.code != 429:
            return "IGNORED", "BAD_REQUEST"
        return "FAILURE", {429: "RATE_LIMITED", 502: "GATEWAY", 503: "GATEWAY", 504: "GATEWAY"}.get(error.code, "SERVER_ERROR")
    if isinstance(error, urllib.error.URLError) and isinstance(error.reason, Exception):
        error = error.reason
    for kind, classes in (("TIMEOUT", TimeoutError), ("CONNECT", (ConnectionRefusedError, socket.gaierror)), ("RESET", (ConnectionError, http.client.RemoteDisconnected))):
        if isinstance(error, classes):
            return "FAILURE", kind
    return ("FAILURE", "APPLICATION") if isinstance(error, Exception) else ("IGNORED", "")


class Breaker:
    """Guards the calls to one callee. Made by Client.breaker; safe for threads."""

    def __init__(self, client, namespace, callee, route):
        self.client, self.lock = client, client.lock
        self.callee, self.route = {"namespace": namespace, "name": callee}, route
        self.circuit = {"caller": client.replica["service"], "callee": self.callee, "route": route}
        self.state, self.since, self.why = CLOSED, time.monotonic(), ""
        self.window = {}  # bucket → [calls, failures], for the own rule
        self.buckets = {}  # bucket → counts that are not yet reported
        self.held, self.until, self.share, self.turn = None, 0.0, 1.0, random.random()
        self.override, self.override_until = None, 0.0
        self.leases, self.seen, self.answers, self.probing, self.generation = {}, {}, [], 0.0, 0

    def call(self, function, *args, **kwargs):
        """Calls the function if the circuit permits, else raises NotPermitted."""
        generation, token = self._acquire()
        began, error = time.monotonic(), None
        try:
            return function(*args, **kwargs)
        except BaseException as e:
            error = e
            raise
        finally:
            self._done(generation, token, time.monotonic() - began, *self.client.judge(error))

    def _acquire(self):
        with self.lock:
            now = time.monotonic()
            self._expire(now)
            mode = self.override["mode"] if self.override else ""
            if mode == "MODE_FORCED_OPEN":
                self._reject(now, self.override.get("reason", "forced open"))
            if self.state == CLOSED and self.share >= 1:
                return self.generation, None
            if mode:  # let through by a person's word alone: it decides nothing
                return None, None
            if self.leases:
                token = next(iter(self.leases))
                del self.leases[token]
                return self.generation, token
            if self.held and self.state != OPEN:  # a ramp, or a share of probes: spread evenly
                self.turn += self.share
                if self.turn >= 1:
                    self.turn -= 1
                    return self.generation, None
            elif not self.held and self.state == HALF_OPEN and now >= self.probing:
                self.probing = now + WINDOW  # one that is lost is given up
                return self.generation, ""
            self._reject(now, self.why)

    def _reject(self, now, why):
        self._count(now, "rejected", "offered")
        raise NotPermitted(f"{self.callee['name']}: {self.state[6:].lower()}: {why}")

    def _done(self, generation, token, took, verdict, kind):
        with self.lock:
            now = time.monotonic()
            self._expire(now)
            late = generation != self.generation
            name = {"SUCCESS": "succeeded", "FAILURE": "failed", "IGNORED": "ignored"}[verdict]
            if late:
                name = "shadow" if generation is None else {"succeeded": "lateSucceeded", "failed": "lateFailed"}.get(name, name)
            bucket = self._count(now, name, "offered")
            if verdict == "SUCCESS" and name != "shadow":
                sum_of = "lateLatencyMicros" if late else "latencyMicros"
                bucket[sum_of] = bucket.get(sum_of, 0) + int(took * 1e6)
            elif kind and not late:
                bucket["kinds"][KINDS[kind]] += 1
            if token:
                self._answer(token, True, verdict, kind, took)
            if not late and verdict != "IGNORED":
                self._own_rule(now, verdict == "FAILURE", token == "")
            if token == "" and not late:
                self.probing = 0.0
            if verdict == "FAILURE" or token:
                self.client.hurry()

    def _own_rule(self, now, failed, probe):
        if self.held or self.override:
            return  # the fleet decides, or a person
        if probe:
            self._to(now, OPEN if failed else CLOSED, "the probe failed" if failed else "the probe succeeded")
            return
        second = self.window.setdefault(int(now), [0, 0])
        second[0] += 1
        second[1] += failed
        self.window = {at: n for at, n in self.window.items() if at > now - WINDOW}
        calls, failures = (sum(n[i] for n in self.window.values()) for i in (0, 1))
        if self.state == CLOSED and failed and calls >= MINIMUM and failures >= THRESHOLD * calls:
            self._to(now, OPEN, f"{failures} of {calls} calls failed")

    def _to(self, now, state, why):
        self.state, self.since, self.why, self.share = state, now, why, 1.0
        self.window, self.probing = {}, 0.0
        self.generation += 1
        self.client.hurry()

    def _expire(self, now):
        """What time ends: overrides, leases, the directive, the own wait."""
        if self.override and now >= self.override_until:
            if self.override["mode"] == "MODE_FORCED_OPEN" and not self.held:
                self._to(now, HALF_OPEN, "the override has ended")
            self.override = None
        for token in [t for t, until in self.leases.items() if now >= until]:
            del self.leases[token]
            self._answer(token, False)
        if self.held and now >= self.until:
            self.held = None
            self._to(now, self.state, "control's word has ended: " + self.why)
        if not self.held and self.state == OPEN and now - self.since >= WAIT:
            self._to(now, HALF_OPEN, self.why)

    def _count(self, now, *names):
        bucket = self.buckets.setdefault(int(now / STEP), {"kinds": [0] * 11})
        for name in names:
            bucket[name] = bucket.get(name, 0) + 1
        while len(self.buckets) > KEEP:
            del self.buckets[min(self.buckets)]
        return bucket

    def _answer(self, token, used, verdict="IGNORED", kind="", took=0.0):
        self.answers.append({"circuit": self.circuit, "token": token, "used": used, "verdict": "VERDICT_" + verdict,
                             "kind": "KIND_" + (kind or "UNSPECIFIED"), "latency": f"{took:.6f}s"})

    def return_leases(self):
        for token in self.leases:
            self._answer(token, False)
        self.leases = {}

    def obey(self, now, d):
        """Puts a directive in force; ValueError if it can't be read. What is not known here is never enforced."""
        self._expire(now)
        gate, ttl, override = d.get("gate", {}), seconds(d.get("ttl")), d.get("override", {})
        order, share, stands = epoch(d), float(gate.get("share", 0)), seconds(override.get("ttl"))
        leases = {x["token"]: now + seconds(x.get("ttl")) for x in d.get("leases", []) if not x.get("instance")}
        if not 0 <= share <= 1:
            raise ValueError(f"share {share}: want 0 to 1")
        if self.held and order <= epoch(self.held) or ttl <= 0:
            return
        forced = self.override and self.override["mode"] == "MODE_FORCED_OPEN"
        known = override.get("mode") in ("MODE_METRICS_ONLY", "MODE_OFF", "MODE_FORCED_OPEN")
        self.override, self.override_until = (override, now + stands) if known else (None, 0.0)
        if not d.get("enforce") or gate.get("state") not in (CLOSED, OPEN, HALF_OPEN):
            if forced and not known:
                self._to(now, HALF_OPEN, "the override has ended")
            return
        again = self.held and self.held["gate"].get("generation") == gate.get("generation") and self.state == gate["state"]
        self.held, self.until = d, now + ttl
        if not again:
            self._to(now, gate["state"], "")
        self.share, self.why = share, str(gate.get("reason", ""))
        self.seen = {token: until for token, until in self.seen.items() if now < until}
        if self.state == CLOSED and share >= 1:
            self.return_leases()
            return
        for token in leases.keys() - self.seen.keys():
            self.seen[token] = self.leases[token] = leases[token]

    def report(self):
        """Takes what was not yet reported: the circuit's report, or None, and answers."""
        now, answers = time.monotonic(), self.answers
        self._expire(now)
        buckets, self.buckets, self.answers = self.buckets, {}, []
        if not buckets and self.state == CLOSED:
            return None, answers
        held = self.held["gate"].get("generation", "0") if self.held else "0"
        mode = self.override["mode"] if self.override else "MODE_ENFORCE"
        cells = [{"buckets": [{**counts, "at": (at + 1) * STEP} for at, counts in sorted(buckets.items())]}] if buckets else []
        return {"callee": self.callee, "route": self.route, "state": self.state, "mode": mode, "generation": held,
                "since": f"{now - self.since:.3f}s", "why": "" if self.held else self.why, "cells": cells}, answers


class Client:
    """One process's attachment to a daemon. Close it at the end."""

    def __init__(self, address, service, namespace="default", replica=None, judge=judge):
        self.url = urllib.parse.urlsplit(address)
        if self.url.scheme != "https" and self.url.hostname not in ("127.0.0.1", "::1", "localhost"):
            raise ValueError(f"{address}: without TLS only loopback addresses are accepted; use https")
        self.judge, self.lock, self.breakers = judge, threading.RLock(), {}
        self.replica = {"service": {"namespace": namespace, "name": service}, "name": replica or f"{socket.gethostname()}-{os.getpid()}",
                        "incarnation": str(random.getrandbits(63))}
        self.sequence, self.acknowledged, self.pending, self.early = 0, 0, None, {}
        self.due, self.closing, self.linked, self.problem = threading.Event(), threading.Event(), False, None
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def breaker(self, callee, namespace="default", route=""):
        with self.lock:
            key = (namespace, callee, route)
            if key not in self.breakers:
                self.breakers[key] = Breaker(self, *key)
                if key in self.early:
                    with contextlib.suppress(AttributeError, KeyError, TypeError, ValueError):
                        self.breakers[key].obey(*self.early.pop(key))
            return self.breakers[key]

    def hurry(self):
        self.due.set()

    def close(self):
        """Says the last word, which gives leases back; takes at most a second or two."""
        self.closing.set()
        self.due.set()
        self.thread.join(3)

    def _run(self):
        connection, wait, failures, final = None, 0.0, 0, False
        while not final:
            self.due.wait(wait)
            self.closing.wait(0.1)  # gathers what comes together
            self.due.clear()
            final = self.closing.is_set()
            try:
                connection = connection or self._connect()
                if final and self.pending:
                    self._poll(connection, False)
                wait = self._poll(connection, final)
                failures, self.linked = 0, True
            except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError) as e:
                connection, self.linked, self.problem = None, False, e
                failures = min(failures + 1, 5)
                self.closing.wait(random.uniform(0, 0.1 * 2**failures))  # whatever calls do meanwhile

    def _connect(self):
        if self.url.scheme == "https":
            return http.client.HTTPSConnection(self.url.netloc, timeout=2, context=ssl.create_default_context())
        return http.client.HTTPConnection(self.url.netloc, timeout=2)

    def _poll(self, connection, final):
        with self.lock:
            now = time.monotonic()
            if self.pending is None:  # else the last one got no answer, and goes again with its number
                self.pending = self._report(final)
            request = {"hello": {"protocol": 1, "features": ["leases"], "replica": self.replica, "version": "python-example",
                                 "held": [{**b.held, "ttl": f"{b.until - now:.3f}s", "leases": []} for b in self.breakers.values() if b.held]},
                       "acknowledged": self.acknowledged, "report": aged(self.pending, now)}
        connection.request("POST", PATH, json.dumps(request), {"Content-Type": "application/json"})
        response = connection.getresponse()
        body = response.read(8 << 20)
        if response.status != 200:
            if response.status == 400:
                self.pending = None  # it would be refused again
            raise ValueError(f"daemon: {response.status} {body[:300].decode(errors='replace')}")
        answer = json.loads(body)
        with self.lock:
            now = time.monotonic()
            for d in answer.get("directives", []):
                try:
                    callee = d["circuit"]["callee"]
                    key = (callee["namespace"], callee["name"], d["circuit"].get("route", ""))
                    if key in self.breakers:
                        self.breakers[key].obey(now, d)
                    elif len(self.early) < 1000:
                        self.early[key] = (now, d)
                except (AttributeError, KeyError, TypeError, ValueError) as e:
                    self.problem = e  # one that can't be read is left out
            self.pending, self.acknowledged = None, answer.get("number", 0)
        return seconds(answer.get("pollAfter"))

    def _report(self, final):
        circuits, answers = [], []
        for b in self.breakers.values():
            if final:
                b.return_leases()
            circuit, said = b.report()
            circuits += [circuit] if circuit else []
            answers += said
        if not (circuits or answers or final):
            return None
        self.sequence += 1
        return {"sequence": str(self.sequence), "circuits": circuits, "answers": answers, "final": final}


def aged(report, now):
    """The report with ages at sending in place of this process's own times."""
    if report is None:
        return None
    age = lambda b: {"ageSteps": max(0, int((now - b["at"]) / STEP)), **{k: v for k, v in b.items() if k != "at"}}
    return {**report, "circuits": [{**c, "cells": [{"buckets": [age(b) for b in x["buckets"]]} for x in c["cells"]]} for c in report["circuits"]]}


def seconds(duration):
    return float(duration[:-1]) if duration else 0.0


def epoch(directive):
    e = directive.get("epoch", {})
    return int(e.get("incarnation", 0)), int(e.get("counter", 0)), e.get("daemon", "")
