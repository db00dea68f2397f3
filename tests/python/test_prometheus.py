"""A real Prometheus scrapes the server, and its queries return the right values."""

import json
import os
import re
import shutil
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

import pytest
import yaml
from harness.client import connected

ROOT = Path(__file__).resolve().parents[2]
PROMETHEUS = os.environ.get("PROMETHEUS", "")
OPS = 7
# In seconds. Long enough for a loaded machine; nothing waits for all of it.
TIMEOUT = 60


@pytest.fixture
def prometheus(tmp_path):
    if not PROMETHEUS or not shutil.which(PROMETHEUS):
        pytest.skip("PROMETHEUS does not name a Prometheus binary: nothing scrapes the server in this run")
    running = []

    def start(target):
        (tmp_path / "prometheus.yml").write_text(
            "global: {scrape_interval: 200ms, scrape_timeout: 200ms}\n"
            f"scrape_configs: [{{job_name: greenroom, static_configs: [{{targets: ['{target}']}}]}}]\n"
        )
        command = [PROMETHEUS, "--config.file=prometheus.yml", "--storage.tsdb.path=tsdb", "--web.listen-address=127.0.0.1:0", "--log.level=info"]
        process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        running.append(process)
        for line in process.stderr:
            if "TLS is disabled" in line or "Listening on" in line:
                if match := re.search(r"address=(127\.0\.0\.1:\d+)", line):
                    return Api(match[1]).ready()
        raise AssertionError(f"Prometheus exited with {process.wait(TIMEOUT)}")

    yield start
    for process in running:
        process.terminate()
        process.stderr.close()
        process.wait(TIMEOUT)


class Api:
    def __init__(self, address):
        self.address = address

    def get(self, path, **query):
        url = f"http://{self.address}/api/v1/{path}?{urllib.parse.urlencode(query)}"
        with urllib.request.urlopen(url, timeout=TIMEOUT) as response:
            answer = json.load(response)
        assert answer["status"] == "success"
        return answer["data"]

    def ready(self):
        """Waits until it answers queries: it listens before it has opened its database."""
        deadline = time.monotonic() + TIMEOUT
        while time.monotonic() < deadline:
            try:
                with urllib.request.urlopen(f"http://{self.address}/-/ready", timeout=TIMEOUT):
                    return self
            except urllib.error.HTTPError as error:
                assert error.code == 503
        raise AssertionError("Prometheus did not become ready")

    def value(self, query):
        """The single number that a query returns; None if there is no series yet."""
        found = self.get("query", query=query)["result"]
        assert len(found) <= 1, found
        return float(found[0]["value"][1]) if found else None

    def until(self, query, wanted):
        """Repeats a query until a scrape has brought this value: Prometheus does not tell when it scrapes."""
        deadline = time.monotonic() + TIMEOUT
        while (value := self.value(query)) != wanted:
            assert time.monotonic() < deadline, f"`{query}` is {value}, not {wanted}; targets: {self.get('targets')['activeTargets']}"


async def test_prometheus_scrapes_the_server_and_counts_what_happened(make_server, prometheus):
    server = make_server(store="memory")
    api = prometheus(server.metrics.split("/")[2])
    api.until("up", 1)
    async with connected(server) as writer, connected(server) as reader:
        await reader.call("subscribe", entity="room:counted")
        for n in range(1, OPS + 1):
            await writer.call("send", entity="room:counted", type="post", body={"text": "counted"}, n=n)
            await reader.notification("event")
        again = await writer.call("send", entity="room:counted", type="post", body={"text": "counted"}, n=OPS)
        assert again["duplicate"] is True
        # The canary has its own kind.
        api.until('sum(greenroom_ops_total{kind="room",outcome="accepted"})', OPS)
        api.until('sum(greenroom_ops_total{kind="room",outcome="duplicate"})', 1)
        api.until("greenroom_connections", 2)
        api.until("greenroom_sessions", 2)
        api.until('greenroom_entities_awake{kind="room"}', 1)
        api.until('sum(greenroom_op_seconds_count{kind="room"})', OPS)
        api.until("greenroom_ready", 1)
        quantile = api.value('histogram_quantile(0.99, sum by (le, kind) (greenroom_op_seconds_bucket{kind="room"}))')
        assert quantile is not None and 0 < quantile < TIMEOUT
    api.until("greenroom_connections", 0)
    types = {name: {entry["type"] for entry in entries} for name, entries in api.get("metadata").items()}
    assert types["greenroom_op_seconds"] == {"histogram"} and types["greenroom_ops_total"] == {"counter"}
    assert not [name for name, kinds in types.items() if name.startswith("greenroom_") and kinds & {"summary", "unknown"}]
    assert types["process_resident_memory_bytes"] == {"gauge"} and api.value("process_resident_memory_bytes") > 1_000_000
    server.kill()
    api.until("up", 0)


async def test_promtool_finds_no_problems(make_server):
    promtool = Path(PROMETHEUS).with_name("promtool")
    if not PROMETHEUS or not promtool.exists():
        pytest.skip("there is no promtool next to PROMETHEUS: the exposition is not linted in this run")
    server = make_server(store="memory")
    async with connected(server) as client:
        await client.call("send", entity="room:a", type="post", body={}, n=1)
    _, exposition = server.get(server.metrics)
    linted = subprocess.run([promtool, "check", "metrics"], input=exposition, capture_output=True, text=True, timeout=TIMEOUT, check=False)
    # The process collector uses these names everywhere; counting CPU time in a gauge is the crate's
    # choice.
    said = [line for line in (linted.stdout + linted.stderr).splitlines() if not line.startswith("process_")]
    assert not said and "# TYPE greenroom_op_seconds histogram" in exposition


@pytest.fixture
def promtool(tmp_path):
    tool = Path(PROMETHEUS).with_name("promtool")
    if not PROMETHEUS or not tool.exists():
        pytest.skip("there is no promtool next to PROMETHEUS: alerts and dashboard are not read by Prometheus in this run")

    def run(*arguments, **files):
        for file, content in files.items():
            (tmp_path / f"{file}.yml").write_text(yaml.safe_dump(content))
        done = subprocess.run([tool, *arguments], cwd=tmp_path, capture_output=True, text=True, timeout=TIMEOUT, check=False)
        assert done.returncode == 0, done.stdout + done.stderr

    return run


def alerts():
    return yaml.safe_load((ROOT / "k8s/components/monitoring/prometheusrule.yaml").read_text())["spec"]


def test_prometheus_reads_the_alerts_and_the_dashboard(promtool):
    promtool("check", "rules", "alerts.yml", alerts=alerts())
    board = json.loads((ROOT / "k8s/dashboards/greenroom.json").read_text())
    queries = [target["expr"] for panel in board["panels"] for target in panel.get("targets", [])]
    assert len(queries) > 40
    rules = [{"record": f"panel:{at}", "expr": query.replace("$__rate_interval", "1m")} for at, query in enumerate(queries)]
    promtool("check", "rules", "panels.yml", panels={"groups": [{"name": "dashboard", "rules": rules}]})


def test_alerts_of_a_cluster_fire_and_stay_quiet(promtool):
    """Two nodes for half an hour: all is well on the one, nothing on the other."""
    series = {
        'greenroom_cluster_lease_valid_seconds{instance="%s"}': ("1.3", "0.1"),
        'greenroom_cluster_takeovers_total{instance="%s",outcome="done"}': ("0", "grows"),
        'greenroom_nats_connected{instance="%s"}': ("1", "0"),
        'greenroom_nats_dropped_total{instance="%s",why="unread"}': ("0", "grows"),
        'greenroom_link_resets_total{instance="%s",why="stalled"}': ("0", "grows"),
        'greenroom_asks_held{instance="%s"}': ("0", "3"),
        'greenroom_cluster_members{instance="%s",job="%s",state="deaf"}': ("0", "1"),
        'greenroom_cluster_members{instance="%s",job="%s",state="draining"}': ("0", "1"),
        'greenroom_cluster_slots{instance="%s",job="%s",state="unowned"}': ("0", "16"),
        'greenroom_cluster_slots{instance="%s",job="%s",state="quarantined"}': ("0", "16"),
    }
    cluster = next(group for group in alerts()["groups"] if group["name"] == "greenroom-cluster")
    values = {"grows": "0+1x30"}
    given = [
        {"series": name.replace("%s", node), "values": values.get(state[bad], f"{state[bad]}x30")}
        for name, state in series.items()
        for bad, node in enumerate(["good", "bad"])
    ]
    more = {"NodeLost": {"outcome": "done"}, "NatsLosesMessages": {"why": "unread"}, "LinksReset": {"why": "stalled"}}
    asked = []
    for rule in cluster["rules"]:
        own = {"job": "bad"} if rule["expr"].startswith("max by (job)") else {"instance": "bad", **more.get(rule["alert"].removeprefix("Greenroom"), {})}
        labels = {"severity": rule["labels"]["severity"], "alertname": rule["alert"], **own}
        summary = rule["annotations"]["summary"]
        for name, value in own.items():
            summary = summary.replace(f"{{{{ $labels.{name} }}}}", value)
        asked.append({"eval_time": "20m", "alertname": rule["alert"], "exp_alerts": [{"exp_labels": labels, "exp_annotations": {"summary": summary}}]})
    test = {"rule_files": ["alerts.yml"], "evaluation_interval": "15s", "tests": [{"interval": "1m", "input_series": given, "alert_rule_test": asked}]}
    promtool("test", "rules", "test.yml", alerts=alerts(), test=test)


def test_live_and_ready(make_server):
    server = make_server(store="memory")
    base = server.metrics.removesuffix("/metrics")
    assert server.get(f"{base}/live") == (200, '{"status":"live"}')
    deadline = time.monotonic() + TIMEOUT
    while (ready := server.get(f"{base}/ready"))[0] != 200:
        assert ready[0] == 503 and "reason" in json.loads(ready[1])
        assert time.monotonic() < deadline, ready
    assert json.loads(ready[1]) == {"status": "ready"}
