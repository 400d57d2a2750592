#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""count-tests.py FAILED_STEPS TESTLOG.json...: prints "N passed, M failed" from the logs of `meson test`.

A skipped test counts as failed, unless it is of a backend whose device this machine need not have: those are listed.
A log that is missing counts as one failure, and so does every step that failed for another reason than a test.
"""

import json
import pathlib
import sys

DEVICE_BACKENDS = ("cuda", "hip", "opencl")
PASSED = ("OK", "EXPECTEDFAIL")


def main() -> int:
    passed, failed = 0, int(sys.argv[1])
    for path in map(pathlib.Path, sys.argv[2:]):
        if not path.is_file():
            print(f"{path}: no such log: the tests did not run")
            failed += 1
            continue
        for line in path.read_text(encoding="utf-8").splitlines():
            test = json.loads(line)
            name, result = test["name"], test["result"]
            if result in PASSED:
                passed += 1
            elif result == "SKIP" and any(backend in name for backend in DEVICE_BACKENDS):
                print(f"{path}: {name}: skipped, no device")
            else:
                print(f"{path}: {name}: {result}")
                failed += 1
    print(f"{passed} passed, {failed} failed")
    return 0 if passed and not failed else 1


if __name__ == "__main__":
    sys.exit(main())
