"""Renders the kustomizations with kubectl, validates every object strictly and checks what no schema can.

Custom resources (ServiceMonitor) have no schema in Kubernetes itself: their references are checked, their fields are
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
KUSTOMIZATIONS = ["k8s/base", "k8s/overlays/monitoring"]
# The oldest release that the manifests are meant for, and the newest that the schemas know.
VERSIONS = ["1.32", kubernetes_validate.latest_version()]
CUSTOM_GROUPS = ("monitoring.coreos.com/",)
DASHBOARD = ROOT / "k8s/dashboards/greenroom.json"

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


def check_references(path, objects):
    """What a schema cannot see: names that must exist, labels that must match, numbers that must fit."""
    kinds = {}
    for obj in objects:
        kinds.setdefault(obj["kind"], []).append(obj)
    (stateful,) = kinds["StatefulSet"]
    template = stateful["spec"]["template"]
    pod, labels = template["spec"], template["metadata"]["labels"]
    ports = {port["name"] for container in pod["containers"] for port in container["ports"]}
    namespaces = {obj["metadata"].get("namespace") for obj in objects if obj["kind"] != "Namespace"}
    if namespaces != {"greenroom"}:
        problem(path, f"objects in several namespaces: {namespaces}")

    if not matches(stateful["spec"]["selector"]["matchLabels"], labels):
        problem(path, "the StatefulSet does not select its own pods")
    services = {obj["metadata"]["name"]: obj for obj in kinds["Service"]}
    if stateful["spec"]["serviceName"] not in services:
        problem(path, f"serviceName `{stateful['spec']['serviceName']}` is no Service here")
    for service in services.values():
        if not matches(service["spec"]["selector"], labels):
            problem(path, f"{name(service)} selects no pod")
        for port in service["spec"]["ports"]:
            if port["targetPort"] not in ports:
                problem(path, f"{name(service)}: no container port is named `{port['targetPort']}`")
    for obj in kinds["PodDisruptionBudget"]:
        if not matches(obj["spec"]["selector"]["matchLabels"], labels):
            problem(path, f"{name(obj)} selects no pod")
    for obj in kinds["NetworkPolicy"]:
        if not matches(obj["spec"]["podSelector"]["matchLabels"], labels):
            problem(path, f"{name(obj)} selects no pod")
        for rule in obj["spec"].get("ingress", []):
            for port in rule["ports"]:
                if port["port"] not in ports:
                    problem(path, f"{name(obj)}: no container port is named `{port['port']}`")
    accounts = {obj["metadata"]["name"] for obj in kinds["ServiceAccount"]}
    if pod["serviceAccountName"] not in accounts:
        problem(path, f"no ServiceAccount `{pod['serviceAccountName']}`")

    configs = {obj["metadata"]["name"]: obj for obj in kinds["ConfigMap"]}
    volumes = {volume["name"] for volume in pod["volumes"]}
    volumes |= {claim["metadata"]["name"] for claim in stateful["spec"]["volumeClaimTemplates"]}
    for volume in pod["volumes"]:
        if "configMap" in volume and volume["configMap"]["name"] not in configs:
            problem(path, f"no ConfigMap `{volume['configMap']['name']}`")
    for container in pod["containers"]:
        for mount in container["volumeMounts"]:
            if mount["name"] not in volumes:
                problem(path, f"no volume `{mount['name']}`")
        check_restricted(path, pod, container)
        for probe in ("livenessProbe", "readinessProbe"):
            if container[probe]["httpGet"]["port"] not in ports:
                problem(path, f"{probe}: no container port is named `{container[probe]['httpGet']['port']}`")

    toml = next(obj["data"]["greenroom.toml"] for obj in configs.values() if "greenroom.toml" in obj.get("data", {}))
    check_config(path, toml, pod, stateful)

    for monitor in kinds.get("ServiceMonitor", []):
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


def check_config(path, toml, pod, stateful):
    """The configuration against the manifest around it. Its keys are the binary's to judge: see tests/python/test_k8s_config.py."""
    try:
        import tomllib
    except ImportError:
        print("  greenroom.toml: not compared with the manifests, that needs Python 3.11")
        return
    config = tomllib.loads(toml)
    ports = {port["name"]: port["containerPort"] for container in pod["containers"] for port in container["ports"]}
    for port, listen in (("http", config["listen"]), ("metrics", config["metrics"]["listen"])):
        if listen != f"0.0.0.0:{ports[port]}":
            problem(path, f"greenroom.toml: `{port}` listens on `{listen}`, the container port is {ports[port]}")
    deadline = re.fullmatch(r"(\d+)s", config["drain"]["deadline"])
    if not deadline:
        problem(path, f"greenroom.toml: `drain.deadline` is `{config['drain']['deadline']}`, expected whole seconds")
    elif int(deadline[1]) + 10 > pod["terminationGracePeriodSeconds"]:
        problem(path, f"the grace period is not 10 s longer than `drain.deadline`, {deadline[1]} s")
    mounts = {mount["name"]: mount["mountPath"] for mount in pod["containers"][0]["volumeMounts"]}
    store = config["store"]["url"].split("://", 1)[1]
    if not f"{store}/".startswith(f"{mounts[stateful['spec']['volumeClaimTemplates'][0]['metadata']['name']]}/"):
        problem(path, f"greenroom.toml: the store `{store}` is not on the volume")


def check_dashboard():
    """Unique panels, and only metrics that docs/metrics.md names."""
    board = json.loads(DASHBOARD.read_text())
    ids = [panel["id"] for panel in board["panels"]]
    if len(ids) != len(set(ids)):
        problem(DASHBOARD.name, "two panels have the same id")
    used = set()
    for panel in board["panels"]:
        for target in panel.get("targets", []):
            used |= set(re.findall(r"\b(?:greenroom|process)_[a-z_]+", target["expr"]))
    used = {re.sub(r"_bucket$", "", metric) for metric in used}
    documented = set(re.findall(r"\b(?:greenroom|process)_[a-z_]+", (ROOT / "docs/metrics.md").read_text()))
    for metric in sorted(used - documented):
        problem(DASHBOARD.name, f"`{metric}` is not in docs/metrics.md")
    print(f"  dashboard: {len(ids)} panels, {len(used & documented)} of {len(used)} metrics in docs/metrics.md")


def main():
    check_dashboard()
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
