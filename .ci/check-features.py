"""Fails when the build of the tests wants another set of features of any dependency than the build of the server.

Cargo adds the features that dev-dependencies ask for only when it builds tests. One more feature on a crate that
SurrealDB uses, such as tokio's `test-util`, and the whole of it would be compiled twice: 20 minutes (docs/adr/0004).
Asks cargo what it would build, and builds nothing.
"""

import json
import os
import subprocess
import sys
from collections import defaultdict


def features(*selection):
    """The feature sets of every dependency, by package, platform, kind of target and profile."""
    command = ["cargo", "build", "--release", "--locked", *selection, "--unit-graph", "-Zunstable-options"]
    # The unit graph is unstable output; this asks a stable cargo for it all the same, and compiles nothing.
    env = os.environ | {"RUSTC_BOOTSTRAP": "1"}
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"check-features: {' '.join(command)}: {done.stderr.strip()}")
    found = defaultdict(set)
    for unit in json.loads(done.stdout)["units"]:
        if unit["pkg_id"].startswith("registry+") and unit["mode"] == "build":
            profile = json.dumps(unit["profile"], sort_keys=True)
            key = (unit["pkg_id"].split("#")[-1], unit["platform"], tuple(unit["target"]["kind"]), profile)
            found[key].add(tuple(unit["features"]))
    return found


def main():
    server, tests = features("--bin", "greenroom"), features("--all-targets")
    bad = 0
    for key, sets in sorted(server.items(), key=str):
        for added in sets - tests[key]:
            bad += 1
            others = [set(other) ^ set(added) for other in tests[key]]
            print(f"check-features: `{key[0]}` is built with other features for the tests, differing in {others}", file=sys.stderr)
    if not server:
        sys.exit("check-features: the server has no dependencies, which cannot be")
    if bad:
        print("check-features: ask for the features in [workspace.dependencies], or do without them", file=sys.stderr)
        sys.exit(1)
    print(f"  {len(server)} dependencies have the same features in `make run` and `make test`")


main()
