"""Reads YAML files, each key once; of Kubernetes objects, checks what a cluster would refuse or regret.

Without schemas, which others hold: an object has its four fields, names are names, selectors select the pods that the object
makes, images are pinned by digest, containers are bounded and not root, probes ask ports that the container names, and what
one object says of another (a service's ports, an ingress' services, what is scaled) is there.
"""

import re
import sys

import yaml


class Once(yaml.SafeLoader):
    """A mapping that has a key twice is a slip."""


def mapping(loader, node, deep=False):
    seen = set()
    for key, _ in node.value:
        if key.tag != "tag:yaml.org,2002:merge":
            name = loader.construct_object(key, deep=True)
            if name in seen:
                raise yaml.constructor.ConstructorError(None, None, f"the key {name!r} stands there twice", key.start_mark)
            seen.add(name)
    return yaml.SafeLoader.construct_mapping(loader, node, deep)


Once.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, lambda loader, node: mapping(loader, node, True))


def faults_of(thing):
    kind, spec = thing.get("kind"), thing.get("spec", {})
    for field in ("apiVersion", "kind", "metadata"):
        if field not in thing:
            yield f"{field} is missing"
    name = thing.get("metadata", {}).get("name", "")
    if not re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", name):
        yield f"{name!r} is no name"
    template = spec.get("template")
    if not template:
        return
    labels = template["metadata"]["labels"]
    if kind == "Deployment" and not spec["selector"]["matchLabels"].items() <= labels.items():
        yield "the selector does not select its own pods"
    pod = template["spec"]
    if not pod.get("securityContext", {}).get("runAsNonRoot"):
        yield "runs as root"
    volumes = {volume["name"] for volume in pod.get("volumes", [])}
    for container in pod["containers"]:
        here = container["name"]
        if not re.fullmatch(r"[^@]+@sha256:[0-9a-f]{64}", container["image"]):
            yield f"{here}: the image is not pinned by its digest"
        if "memory" not in container.get("resources", {}).get("limits", {}):
            yield f"{here}: nothing bounds its memory"
        ports = {port["name"] for port in container.get("ports", [])}
        for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
            port = container.get(probe, {}).get("httpGet", {}).get("port")
            if isinstance(port, str) and port not in ports:
                yield f"{here}: {probe} asks the port {port!r}, which is not there"
            if kind == "Deployment" and probe not in container:
                yield f"{here}: {probe} is missing"
        for mount in container.get("volumeMounts", []):
            if mount["name"] not in volumes:
                yield f"{here}: mounts {mount['name']!r}, which is no volume"


def pods_selected(things):
    """What a service or a budget selects must be made by somebody."""
    pods = [t["spec"]["template"]["metadata"]["labels"] for t in things if "template" in t.get("spec", {})]
    for thing in things:
        spec = thing.get("spec", {})
        wanted = {"Service": spec.get("selector"), "PodDisruptionBudget": spec.get("selector", {}).get("matchLabels")}
        labels = wanted.get(thing["kind"]) if thing["kind"] in wanted else None
        if labels and not any(labels.items() <= pod.items() for pod in pods):
            yield f"{thing['kind']} {thing['metadata']['name']} selects no pod"


def ports_named(things):
    """Who is sent to a port by its name or number finds it."""
    services, pods = {}, []
    for thing in things:
        template = thing.get("spec", {}).get("template")
        if template:
            ports = [port for container in template["spec"]["containers"] for port in container.get("ports", [])]
            pods.append((template["metadata"]["labels"], ports))
        if thing["kind"] == "Service":
            services[thing["metadata"]["name"]] = thing["spec"]
    for name, spec in services.items():
        for labels, ports in pods:
            if spec["selector"].items() <= labels.items():
                there = {port["name"] for port in ports} | {port["containerPort"] for port in ports}
                for port in spec["ports"]:
                    if port.get("targetPort", port["port"]) not in there:
                        yield f"Service {name}: its pods have no port {port.get('targetPort', port['port'])!r}"
    for thing in things:
        here = f"{thing['kind']} {thing['metadata']['name']}"
        if thing["kind"] == "Ingress":
            for rule in thing["spec"]["rules"]:
                for path in rule["http"]["paths"]:
                    to = path["backend"]["service"]
                    ports = services.get(to["name"], {}).get("ports", [])
                    if to["port"].get("name") not in {port.get("name") for port in ports}:
                        yield f"{here}: {path['path']} goes to {to}, which is not there"
        if thing["kind"] == "NetworkPolicy":
            open_ports = {port["containerPort"] for _, ports in pods for port in ports}
            for rule in thing["spec"].get("ingress", []):
                for port in rule.get("ports", []):
                    if port["port"] not in open_ports:
                        yield f"{here}: nobody listens on {port['port']}"
        if thing["kind"] == "ScaledObject":
            target = thing["spec"]["scaleTargetRef"]["name"]
            if not any(t["kind"] == "Deployment" and t["metadata"]["name"] == target for t in things):
                yield f"{here}: there is no deployment {target!r} to scale"


def main(files):
    faults, objects = [], []
    for file in files:
        try:
            with open(file, encoding="utf-8") as text:
                documents = list(yaml.load_all(text, Loader=Once))
        except yaml.YAMLError as error:
            faults.append(f"{file}: {error}")
            continue
        if "/kubernetes/" in file:
            objects += documents
            for thing in documents:
                faults += [f"{file}: {thing.get('kind')}: {fault}" for fault in faults_of(thing)]
    faults += list(pods_selected(objects)) + list(ports_named(objects))
    print("\n".join(faults), file=sys.stderr, end="\n" if faults else "")
    return 1 if faults else 0


sys.exit(main(sys.argv[1:]))
