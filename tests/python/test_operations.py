"""docs/operations: the alerts are expressions over metrics that exist, and the commands are ones that the binary takes."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from harness.pages import rows
from harness.schema import DOCS
from harness.server import BINARY, clean_environment

PROMETHEUS = Path(os.environ.get("PROMETHEUS") or Path.home() / ".cache/greenroom/tools/prometheus/usr/bin/prometheus")


def alerts():
    for name, expression, _ in rows("operations/watch.md", "Alerts worth having"):
        yield name, re.fullmatch(r"`(.+)`(?: for (\w+))?", expression).group(1, 2)


def test_the_alerts_use_metrics_that_exist():
    documented = set(re.findall(r"^\| `(\w+)` \|", (DOCS / "metrics.md").read_text(), re.M))
    for name, (expression, _) in alerts():
        used = {re.sub(r"_bucket$", "", metric) for metric in re.findall(r"\bgreenroom_\w+", expression)}
        assert used and used <= documented, name


def test_prometheus_takes_the_alerts(tmp_path):
    promtool = shutil.which("promtool") or PROMETHEUS.with_name("promtool")
    if not Path(promtool).exists():
        pytest.skip("there is no promtool here; `.ci/deps test` unpacks it")
    rules = "".join(f"  - alert: {name.title().replace(' ', '')}\n    expr: {expression}\n    for: {wait or '0s'}\n" for name, (expression, wait) in alerts())
    file = tmp_path / "alerts.yml"
    file.write_text(f"groups:\n- name: greenroom\n  rules:\n{rules}")
    done = subprocess.run([promtool, "check", "rules", file], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


COMMANDS = [line for page in sorted((DOCS / "operations").glob("*.md")) for line in re.findall(r"^greenroom serve (.+?) *(?:#.*)?$", page.read_text(), re.M)]


@pytest.mark.parametrize("arguments", COMMANDS)
def test_the_commands_start_a_server(arguments, tmp_path):
    command = [BINARY, "serve", *arguments.split(), "--listen", "127.0.0.1:0", "--metrics-listen", "", "--store", "memory"]
    with subprocess.Popen(command, cwd=tmp_path, env=clean_environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        try:
            assert any(re.match(r"  socket +ws://", line) for line in process.stdout)
        finally:
            process.kill()
