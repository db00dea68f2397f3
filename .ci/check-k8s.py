"""Renders the kustomizations with kubectl, validates every object strictly and checks what no schema can.

Custom resources (ServiceMonitor, PrometheusRule) have no schema in Kubernetes itself: their references are checked, their fields are
not, and the output says so. Without kubectl nothing can be rendered: the rest is skipped, visibly.
"""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import kubernetes_validate
import yaml

ROOT = Path(__file__).resolve().parent.parent
KUSTOMIZATIONS = ["k8s/base", "k8s/overlays/monitoring", "k8s/overlays/cluster", "k8s/overlays/cluster-database"]
# The oldest release that the manifests are meant for, and the newest that the schemas know.
VERSIONS = ["1.32", kubernetes_validate.latest_version()]
CUSTOM_GROUPS = ("monitoring.coreos.com/",)
README = ROOT / "k8s/README.md"
DASHBOARD = ROOT / "k8s/dashboards/greenroom.json"
ALERTS = ROOT / "k8s/components/monitoring/prometheusrule.yaml"

problems = []


def problem(where, text):
    problems.append(f"{where}: {text}")


def name(obj):
    return f"{obj['kind']}/{obj['metadata']['name']}"


def render(path):
    done = subprocess.run(["kubectl", "kustomize", path], cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        problem(path, f"kubectl kustomize: {done.stderr.strip()}")
        return []
    return [obj for obj in yaml.safe_load_all(done.stdout) if obj]


def validate(path, objects):
    """Every object against the strict schemas of each version: a misspelt field is an error."""
    for obj in objects:
        if obj["apiVersion"].startswith(CUSTOM_GROUPS):
            print(f"  {name(obj)}: a custom resource, its fields are not validated, its references are")
            continue
        for version in VERSIONS:
            try:
                kubernetes_validate.validate(obj, version, strict=True)
            except kubernetes_validate.ValidationError as error:
                at = ".".join(str(step) for step in error.path)
                problem(path, f"{name(obj)}: `{at}`: {error.message} (Kubernetes {version})")
            except kubernetes_validate.SchemaNotFoundError as error:
                problem(path, f"{name(obj)}: {error.message}")


def matches(selector, labels):
    return all(labels.get(key) == value for key, value in selector.items())


class Workload:
    """A StatefulSet or a Deployment, and the pod that it makes."""

    def __init__(self, obj):
        self.obj, self.name = obj, name(obj)
        template = obj["spec"]["template"]
        self.pod, self.labels = template["spec"], template["metadata"]["labels"]
        (self.container,) = self.pod["containers"]
        self.ports = {port["name"]: port["containerPort"] for port in self.container["ports"]}
        self.claims = obj["spec"].get("volumeClaimTemplates", [])

    def secrets(self):
        for volume in self.pod["volumes"]:
            sources = volume.get("projected", {}).get("sources", [])
            yield from (source["secret"]["name"] for source in sources if "secret" in source)
            if "secret" in volume:
                yield volume["secret"]["secretName"]
        for variable in self.container.get("env", []):
            if "secretKeyRef" in variable.get("valueFrom", {}):
                yield variable["valueFrom"]["secretKeyRef"]["name"]


def selected(path, what, selector, workloads):
    """The one workload whose pods have these labels."""
    found = [workload for workload in workloads if matches(selector, workload.labels)]
    if len(found) != 1:
        problem(path, f"{what} selects {[workload.name for workload in found] or 'no pod'}, one kind of pod is meant")
    return found[0] if len(found) == 1 else None


def check_ports(path, what, workload, ports):
    for port in ports if workload else []:
        if port not in workload.ports:
            problem(path, f"{what}: no container port of {workload.name} is named `{port}`")


def check_references(path, objects):
    """What a schema cannot see: names that must exist, labels that must match, numbers that must fit."""
    kinds = {}
    for obj in objects:
        kinds.setdefault(obj["kind"], []).append(obj)
    workloads = [Workload(obj) for kind in ("StatefulSet", "Deployment") for obj in kinds.get(kind, [])]
    namespaces = {obj["metadata"].get("namespace") for obj in objects if obj["kind"] != "Namespace"}
    if namespaces != {"greenroom"}:
        problem(path, f"objects in several namespaces: {namespaces}")

    services = {obj["metadata"]["name"]: obj for obj in kinds["Service"]}
    for service in services.values():
        workload = selected(path, name(service), service["spec"]["selector"], workloads)
        check_ports(path, name(service), workload, [port["targetPort"] for port in service["spec"]["ports"]])
    for obj in kinds["PodDisruptionBudget"]:
        selected(path, name(obj), obj["spec"]["selector"]["matchLabels"], workloads)
    for obj in kinds["NetworkPolicy"]:
        check_policy(path, obj, workloads)
    for obj in kinds.get("HorizontalPodAutoscaler", []):
        check_autoscaler(path, obj, workloads)

    accounts = {obj["metadata"]["name"] for obj in kinds["ServiceAccount"]}
    configs = {obj["metadata"]["name"]: obj for obj in kinds["ConfigMap"]}
    for workload in workloads:
        check_workload(path, workload, services, accounts, configs)
    check_config(path, next(text_of(configs, "greenroom.toml")), workloads, services)
    for text in text_of(configs, "nats.conf"):
        check_nats(path, text, workloads)
    check_monitors(path, kinds.get("ServiceMonitor", []), services)


def text_of(configs, file):
    return (obj["data"][file] for obj in configs.values() if file in obj.get("data", {}))


def check_workload(path, workload, services, accounts, configs):
    pod, container, spec = workload.pod, workload.container, workload.obj["spec"]
    for selector in [spec["selector"], *(spread["labelSelector"] for spread in pod.get("topologySpreadConstraints", []))]:
        if not matches(selector["matchLabels"], workload.labels):
            problem(path, f"{workload.name} does not select its own pods")
    if "serviceName" in spec and spec["serviceName"] not in services:
        problem(path, f"{workload.name}: serviceName `{spec['serviceName']}` is not a Service here")
    if pod["serviceAccountName"] not in accounts:
        problem(path, f"{workload.name}: no ServiceAccount `{pod['serviceAccountName']}`")
    volumes = {volume["name"] for volume in pod["volumes"]} | {claim["metadata"]["name"] for claim in workload.claims}
    for volume in pod["volumes"]:
        if "configMap" in volume and volume["configMap"]["name"] not in configs:
            problem(path, f"{workload.name}: no ConfigMap `{volume['configMap']['name']}`")
    for mount in container["volumeMounts"]:
        if mount["name"] not in volumes:
            problem(path, f"{workload.name}: no volume `{mount['name']}`")
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        if probe in container:
            check_ports(path, f"{workload.name}: {probe}", workload, [container[probe]["httpGet"]["port"]])
    if not re.search(r":[^:/]*\d[^:/]*$", container["image"]):
        problem(path, f"{workload.name}: the image `{container['image']}` has no version")
    for secret in workload.secrets():
        if f"`{secret}`" not in README.read_text():
            problem(path, f"{workload.name}: k8s/README.md does not say how to make the Secret `{secret}`")
    check_restricted(f"{path}: {workload.name}", pod, container)


def check_policy(path, policy, workloads):
    spec, what = policy["spec"], name(policy)
    own = selected(path, what, spec["podSelector"]["matchLabels"], workloads)
    for rule in spec.get("ingress", []):
        check_ports(path, what, own, [port["port"] for port in rule["ports"]])
        for peer in rule.get("from", []):
            if "podSelector" in peer:
                selected(path, f"{what}, `from`", peer["podSelector"]["matchLabels"], workloads)
    for rule in spec.get("egress", []):
        for peer in rule.get("to", []):
            there = selected(path, f"{what}, `to`", peer["podSelector"]["matchLabels"], workloads)
            check_ports(path, what, there, [port["port"] for port in rule["ports"]])


def check_autoscaler(path, scaler, workloads):
    spec, target = scaler["spec"], scaler["spec"]["scaleTargetRef"]
    chosen = [one for one in workloads if one.name == f"{target['kind']}/{target['name']}"]
    if not chosen:
        problem(path, f"{name(scaler)}: there is no {target['kind']} `{target['name']}`")
    elif "replicas" in chosen[0].obj["spec"]:
        problem(path, f"{chosen[0].name}: `replicas` would undo what {name(scaler)} decides")
    for metric in spec["metrics"]:
        if metric["type"] == "Pods" and metric["pods"]["metric"]["name"] not in documented_metrics():
            problem(path, f"{name(scaler)}: `{metric['pods']['metric']['name']}` is not in docs/metrics.md")


def check_monitors(path, monitors, services):
    for monitor in monitors:
        chosen = [
            service
            for service in services.values()
            if matches(monitor["spec"]["selector"]["matchLabels"], service["metadata"]["labels"])
        ]
        if len(chosen) != 1:
            problem(path, f"{name(monitor)} selects {len(chosen)} Services, one is meant")
        for endpoint in monitor["spec"]["endpoints"]:
            for service in chosen:
                if endpoint["port"] not in {port["name"] for port in service["spec"]["ports"]}:
                    problem(path, f"{name(monitor)}: {name(service)} has no port `{endpoint['port']}`")


def check_restricted(path, pod, container):
    """The pod security standard `restricted`, which the namespace enforces."""
    context, own = pod["securityContext"], container["securityContext"]
    wanted = {
        "runAsNonRoot": context.get("runAsNonRoot") is True and context.get("runAsUser", 0) > 0,
        "seccompProfile": context.get("seccompProfile", {}).get("type") == "RuntimeDefault",
        "allowPrivilegeEscalation": own.get("allowPrivilegeEscalation") is False,
        "readOnlyRootFilesystem": own.get("readOnlyRootFilesystem") is True,
        "capabilities": own.get("capabilities", {}).get("drop") == ["ALL"],
        "automountServiceAccountToken": pod.get("automountServiceAccountToken") is False,
        "host namespaces": not any(pod.get(key) for key in ("hostNetwork", "hostPID", "hostIPC")),
    }
    for rule, holds in wanted.items():
        if not holds:
            problem(path, f"the pod is not `restricted`: {rule}")


def seconds(text):
    found = re.fullmatch(r"(\d+)s", text)
    if not found:
        raise ValueError(f"`{text}`, expected whole seconds")
    return int(found[1])


def check_config(path, toml, workloads, services):
    """The configuration against the manifest around it. Its keys are the binary's to judge: see tests/python/test_k8s_config.py."""
    try:
        import tomllib
    except ImportError:
        print("  greenroom.toml: not compared with the manifests, that needs Python 3.11")
        return
    config = tomllib.loads(toml)
    server = next(workload for workload in workloads if workload.labels["app.kubernetes.io/component"] == "server")
    for port, listen in (("http", config["listen"]), ("metrics", config["metrics"]["listen"])):
        if listen != f"0.0.0.0:{server.ports[port]}":
            problem(path, f"greenroom.toml: `{port}` listens on `{listen}`, the container port is {server.ports[port]}")
    longest = longest_stop(config, server.container)
    if longest + 10 > server.pod["terminationGracePeriodSeconds"]:
        problem(path, f"the grace period is not 10 s longer than a stop may take, {longest} s")
    mounts = {mount["name"]: mount["mountPath"] for mount in server.container["volumeMounts"]}
    if "cluster" in config:
        check_cluster(path, config, server, workloads, services, mounts)
    elif not f"{config['store']['url'].split('://', 1)[1]}/".startswith(f"{mounts[server.claims[0]['metadata']['name']]}/"):
        problem(path, f"greenroom.toml: the store `{config['store']['url']}` is not on the volume")


def longest_stop(config, container):
    """In seconds. A node hands its slots over, sends its clients elsewhere, leaves the cluster, and then stops like any server."""
    last = seconds(config["drain"]["deadline"])
    if "cluster" not in config:
        return last
    before = container["lifecycle"]["preStop"]["sleep"]["seconds"]
    return before + 2 * seconds(config["cluster"]["drain"]) + seconds(config["drain"]["reconnect_spread"]) + 2 + last


def check_cluster(path, config, server, workloads, services, mounts):
    if "GREENROOM_CLUSTER__NODE" not in {variable["name"] for variable in server.container.get("env", [])}:
        problem(path, "the nodes have no names: `GREENROOM_CLUSTER__NODE` is not set")
    if server.obj["kind"] != "Deployment" or server.claims:
        problem(path, f"{server.name}: a node of a cluster keeps nothing, so it is meant to be a Deployment")
    files = {
        item["path"]
        for volume in server.pod["volumes"]
        for source in volume.get("projected", {}).get("sources", [])
        for item in source["secret"]["items"]
    }
    for file in (config["store"]["password_file"], config["cluster"]["nats"]["token_file"]):
        if file not in {f"{mounts['secrets']}/{one}" for one in files}:
            problem(path, f"greenroom.toml: no Secret makes `{file}`")
    check_members(path, "greenroom.toml", config["cluster"]["nats"]["url"], "nats", workloads)
    host, port = re.fullmatch(r"ws://([^:/]+):(\d+)", config["store"]["url"]).groups()
    databases = [workload for workload in workloads if workload.labels["app.kubernetes.io/component"] == "database"]
    if databases and (host not in services or int(port) not in {one["port"] for one in services[host]["spec"]["ports"]}):
        problem(path, f"greenroom.toml: `{config['store']['url']}` is not a Service here")


def check_members(path, file, urls, port, workloads):
    """The pods of the NATS StatefulSet by their names, all of them."""
    nats = next(workload for workload in workloads if workload.labels["app.kubernetes.io/component"] == "nats")
    spec, own = nats.obj["spec"], nats.obj["metadata"]["name"]
    wanted = [f"nats://{own}-{number}.{spec['serviceName']}:{nats.ports[port]}" for number in range(spec["replicas"])]
    if urls != wanted:
        problem(path, f"{file}: the NATS servers are {urls}, expected {wanted}")


def check_nats(path, text, workloads):
    """What can be read of it without a parser; tests/python/test_k8s_config.py has the server itself check it."""
    check_members(path, "nats.conf", re.findall(r'^ +"(nats://.+)"$', text, re.M), "routes", workloads)
    nats = next(workload for workload in workloads if workload.labels["app.kubernetes.io/component"] == "nats")
    for key, port in (("port", "nats"), ("  port", "routes"), ("http_port", "monitor")):
        if not re.search(rf"^{key}: {nats.ports[port]}$", text, re.M):
            problem(path, f"nats.conf: `{key.strip()}` is not {nats.ports[port]}, the container port")
    leaving = int(re.search(r'^lame_duck_duration: "(\d+)s"$', text, re.M)[1])
    if leaving + 10 > nats.pod["terminationGracePeriodSeconds"]:
        problem(path, f"{nats.name}: the grace period is not 10 s longer than `lame_duck_duration`, {leaving} s")
    pid = re.search(r'^pid_file: "(.+)"$', text, re.M)[1]
    if nats.container["lifecycle"]["preStop"]["exec"]["command"][-1] != f"ldm={pid}":
        problem(path, f"{nats.name}: preStop does not name `{pid}`")
    if "jetstream" in text:
        problem(path, "nats.conf: JetStream is not needed")


def documented_metrics():
    return set(re.findall(r"\b(?:greenroom|process)_[a-z_]+", (ROOT / "docs/metrics.md").read_text()))


def metrics_of(expression):
    found = re.findall(r"\b(?:greenroom|process)_[a-z_]+", expression)
    return {re.sub(r"_bucket$", "", metric) for metric in found}


def check_alerts():
    """The alerts are those of docs/operations/watch.md, word for word. tests/python/test_prometheus.py has Prometheus read them."""
    page = (ROOT / "docs/operations/watch.md").read_text()
    table = {cells[2].strip() for line in page.splitlines() if len(cells := line.split("|")) == 5 and "`" in cells[2]}
    groups = yaml.safe_load(ALERTS.read_text())["spec"]["groups"]
    rules = [rule for group in groups for rule in group["rules"]]
    told = {f"`{rule['expr']}`" + (f" for {rule['for']}" if "for" in rule else "") for rule in rules}
    for line in sorted(told ^ table):
        problem(ALERTS.name, f"only {'here' if line in told else 'in docs/operations/watch.md'}: {line}")
    for metric in sorted({metric for rule in rules for metric in metrics_of(rule["expr"])} - documented_metrics()):
        problem(ALERTS.name, f"`{metric}` is not in docs/metrics.md")
    print(f"  alerts: {len(rules)}, as in docs/operations/watch.md")


def check_dashboard():
    """Unique panels, and only metrics that docs/metrics.md names."""
    board = json.loads(DASHBOARD.read_text())
    ids = [panel["id"] for panel in board["panels"]]
    if len(ids) != len(set(ids)):
        problem(DASHBOARD.name, "two panels have the same id")
    used = set()
    for panel in board["panels"]:
        for target in panel.get("targets", []):
            used |= metrics_of(target["expr"])
    documented = documented_metrics()
    for metric in sorted(used - documented):
        problem(DASHBOARD.name, f"`{metric}` is not in docs/metrics.md")
    print(f"  dashboard: {len(ids)} panels, {len(used & documented)} of {len(used)} metrics in docs/metrics.md")


def main():
    check_dashboard()
    check_alerts()
    if shutil.which("kubectl"):
        for path in KUSTOMIZATIONS:
            objects = render(path)
            print(f"  {path}: {len(objects)} objects, against Kubernetes {' and '.join(VERSIONS)}")
            validate(path, objects)
            if objects:
                check_references(path, objects)
    else:
        print("  SKIPPED: no `kubectl` on this machine, the manifests were neither rendered nor validated")
    for line in problems:
        print(f"check-k8s: {line}", file=sys.stderr)
    return 1 if problems else 0


sys.exit(main())
