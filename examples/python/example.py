"""Guards calls to an URL. Try it: python3 example.py --help, or the README beside."""

import argparse
import json
import time
import urllib.request

import switchgear


def main():
    a = argparse.ArgumentParser(description=__doc__)
    a.add_argument("url", help="what is called, such as http://127.0.0.1:9090/healthz")
    a.add_argument("--daemon", default="http://127.0.0.1:7443", help="where the daemon is; none is needed (default %(default)s)")
    a.add_argument("--service", default="billing", help="name of this program in the mesh (default %(default)s)")
    a.add_argument("--callee", default="ledger", help="name of what is called (default %(default)s)")
    a.add_argument("--rate", type=float, default=20, help="calls a second (default %(default)s)")
    a.add_argument("--seconds", type=float, default=60, help="how long (default %(default)s)")
    a.add_argument("--every", type=float, default=1, help="seconds between lines (default %(default)s)")
    args = a.parse_args()

    client = switchgear.Client(args.daemon, args.service)
    breaker = client.breaker(args.callee)
    end = time.monotonic() + args.seconds
    try:
        while time.monotonic() < end:
            counts, line = {"succeeded": 0, "failed": 0, "rejected": 0}, time.monotonic() + args.every
            while time.monotonic() < line:
                try:
                    breaker.call(fetch, args.url)
                    counts["succeeded"] += 1
                except switchgear.NotPermitted:
                    counts["rejected"] += 1  # a program's fallback goes here
                except OSError:
                    counts["failed"] += 1
                time.sleep(1 / args.rate)
            print(json.dumps({**counts, "state": breaker.state, "by": "fleet" if breaker.held else "itself", "linked": client.linked, "why": breaker.why}), flush=True)
    finally:
        client.close()


def fetch(url):
    with urllib.request.urlopen(url, timeout=2) as response:
        return response.read()


if __name__ == "__main__":
    main()
