# SPDX-License-Identifier: MPL-2.0
"""Renders deploy/kubernetes as a cluster would get it, and holds every object against the rules we promise."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any, Iterator

import pytest
import yaml

Manifest = dict[str, Any]

OVERLAYS = {"base": "deploy/kubernetes/base", "dev": "deploy/kubernetes/overlays/dev"}
NAMESPACES = {"base": "freshwire", "dev": "freshwire-dev"}
WORKLOADS = ("Deployment", "StatefulSet")

# Where kubernetes-types keeps the kinds that we use. A new kind is added here, or the test fails.
MODULES = {
    "v1": "core/v1",
    "apps/v1": "apps/v1",
    "policy/v1": "policy/v1",
    "networking.k8s.io/v1": "networking/v1",
}


@pytest.fixture(scope="module", params=OVERLAYS)
def overlay(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def manifests(overlay: str, kubectl: str, root: Path) -> list[Manifest]:
    rendered = subprocess.run(
        [kubectl, "kustomize", str(root / OVERLAYS[overlay])], capture_output=True, text=True, check=False
    )
    assert rendered.returncode == 0, rendered.stderr
    assert rendered.stderr == "", "kustomize warns"
    return [one for one in yaml.safe_load_all(rendered.stdout) if one]


def title(manifest: Manifest) -> str:
    return f"{manifest['kind']}/{manifest['metadata']['name']}"


def workloads(manifests: list[Manifest]) -> list[Manifest]:
    found = [one for one in manifests if one["kind"] in WORKLOADS]
    assert found
    return found


def pod_of(workload: Manifest) -> Manifest:
    return workload["spec"]["template"]["spec"]


def containers(manifests: list[Manifest]) -> Iterator[tuple[str, Manifest]]:
    for workload in workloads(manifests):
        pod = pod_of(workload)
        for container in pod.get("initContainers", []) + pod["containers"]:
            yield f"{title(workload)}/{container['name']}", container


def matches(selector: dict[str, str], labels: dict[str, str]) -> bool:
    return bool(selector) and selector.items() <= labels.items()


def labels_of(workload: Manifest) -> dict[str, str]:
    return workload["spec"]["template"]["metadata"]["labels"]


def test_every_role_is_deployed(manifests: list[Manifest]) -> None:
    expected = {"StatefulSet/freshwire-broker", "Deployment/freshwire-worker", "Deployment/freshwire-gateway"}
    assert expected <= {title(one) for one in workloads(manifests)}


def test_no_two_objects_have_the_same_name(manifests: list[Manifest]) -> None:
    names = [title(one) for one in manifests]
    assert len(names) == len(set(names))


def test_everything_is_in_one_restricted_namespace(manifests: list[Manifest], overlay: str) -> None:
    for one in manifests:
        if one["kind"] == "Namespace":
            assert one["metadata"]["name"] == NAMESPACES[overlay]
            assert one["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
        else:
            assert one["metadata"]["namespace"] == NAMESPACES[overlay], title(one)


def test_every_pod_runs_without_rights(manifests: list[Manifest]) -> None:
    for workload in workloads(manifests):
        pod = pod_of(workload)
        name = title(workload)
        assert pod["securityContext"]["runAsNonRoot"] is True, name
        assert pod["securityContext"]["runAsUser"] == 65532, name
        assert pod["securityContext"]["runAsGroup"] == 65532, name
        assert pod["securityContext"]["seccompProfile"]["type"] == "RuntimeDefault", name
        assert pod["automountServiceAccountToken"] is False, name
        assert pod["enableServiceLinks"] is False, name
        for forbidden in ("hostNetwork", "hostPID", "hostIPC"):
            assert not pod.get(forbidden), name
        for volume in pod.get("volumes", []):
            assert "hostPath" not in volume, name


def test_every_container_is_locked_down(manifests: list[Manifest]) -> None:
    for name, container in containers(manifests):
        context = container["securityContext"]
        assert context["allowPrivilegeEscalation"] is False, name
        assert context["readOnlyRootFilesystem"] is True, name
        assert context["capabilities"] == {"drop": ["ALL"]}, name
        assert not context.get("privileged"), name


def test_every_container_reserves_its_memory_and_has_no_processor_limit(manifests: list[Manifest]) -> None:
    for name, container in containers(manifests):
        resources = container["resources"]
        assert resources["requests"]["cpu"], name
        assert resources["requests"]["memory"] == resources["limits"]["memory"], name
        assert "cpu" not in resources["limits"], name


def test_every_container_is_probed_on_a_port_it_has(manifests: list[Manifest]) -> None:
    for name, container in containers(manifests):
        ports = {port["name"] for port in container["ports"]}
        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
            action = container[probe].get("httpGet") or container[probe]["tcpSocket"]
            assert action["port"] in ports, f"{name} {probe}"


def test_freshwire_is_probed_on_the_admin_port_only(manifests: list[Manifest]) -> None:
    for name, container in containers(manifests):
        if container["image"].startswith("freshwire:"):
            assert container["livenessProbe"]["httpGet"] == {"path": "/healthz", "port": "admin"}, name
            assert container["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": "admin"}, name


def test_every_image_has_an_exact_version(manifests: list[Manifest]) -> None:
    for name, container in containers(manifests):
        repository, _, tag = container["image"].rpartition(":")
        assert repository and tag and tag != "latest", f"{name}: {container['image']}"


def test_the_image_has_the_version_of_the_source(manifests: list[Manifest], root: Path) -> None:
    project = next(line for line in (root / "CMakeLists.txt").read_text().splitlines() if line.startswith("project("))
    version = project.split("VERSION ")[1].split()[0]
    tags = {c["image"] for _, c in containers(manifests) if c["image"].startswith("freshwire:")}
    assert tags == {f"freshwire:{version}"}


def test_every_workload_selects_its_own_pods_and_no_others(manifests: list[Manifest]) -> None:
    for workload in workloads(manifests):
        selector = workload["spec"]["selector"]["matchLabels"]
        selected = [title(one) for one in workloads(manifests) if matches(selector, labels_of(one))]
        assert selected == [title(workload)]


def test_every_service_reaches_a_port_of_exactly_one_workload(manifests: list[Manifest]) -> None:
    for service in (one for one in manifests if one["kind"] == "Service"):
        chosen = [one for one in workloads(manifests) if matches(service["spec"]["selector"], labels_of(one))]
        assert len(chosen) == 1, title(service)
        ports = {port["name"] for container in pod_of(chosen[0])["containers"] for port in container["ports"]}
        for port in service["spec"]["ports"]:
            assert port["targetPort"] in ports, f"{title(service)}: {port}"


def test_the_broker_is_one_and_has_a_name_of_its_own(manifests: list[Manifest]) -> None:
    broker = next(one for one in manifests if title(one) == "StatefulSet/freshwire-broker")
    service = next(one for one in manifests if title(one) == "Service/freshwire-broker")
    assert broker["spec"]["replicas"] == 1
    assert broker["spec"]["serviceName"] == service["metadata"]["name"]
    assert service["spec"]["clusterIP"] == "None"


def test_disruption_budgets_cover_gateways_and_workers_and_always_allow_one(manifests: list[Manifest]) -> None:
    covered = set()
    for budget in (one for one in manifests if one["kind"] == "PodDisruptionBudget"):
        assert budget["spec"]["maxUnavailable"] == 1
        selector = budget["spec"]["selector"]["matchLabels"]
        covered |= {title(one) for one in workloads(manifests) if matches(selector, labels_of(one))}
    assert covered == {"Deployment/freshwire-gateway", "Deployment/freshwire-worker"}


def test_every_pod_is_closed_but_for_named_doors(manifests: list[Manifest]) -> None:
    policies = [one for one in manifests if one["kind"] == "NetworkPolicy"]
    default = next(one for one in policies if one["spec"]["podSelector"] == {})
    assert set(default["spec"]["policyTypes"]) == {"Ingress", "Egress"}
    for rule in default["spec"]["ingress"] + default["spec"]["egress"]:
        assert rule.get("from") or rule.get("to"), "the default opens a port to everybody"


def pod_selectors(policy: Manifest) -> Iterator[dict[str, str]]:
    yield policy["spec"]["podSelector"].get("matchLabels", {})
    for rule in policy["spec"].get("ingress", []) + policy["spec"].get("egress", []):
        for peer in rule.get("from", []) + rule.get("to", []):
            if "podSelector" in peer:
                yield peer["podSelector"].get("matchLabels", {})


def test_network_policies_name_pods_that_exist_or_ask_by_the_access_label(manifests: list[Manifest]) -> None:
    for policy in (one for one in manifests if one["kind"] == "NetworkPolicy"):
        for selector in pod_selectors(policy):
            if not selector or set(selector) == {"freshwire-access"}:
                continue
            assert any(matches(selector, labels_of(one)) for one in workloads(manifests)), (title(policy), selector)


def test_every_configuration_and_secret_that_is_mounted_exists(manifests: list[Manifest], overlay: str) -> None:
    known = {one["metadata"]["name"] for one in manifests if one["kind"] in ("ConfigMap", "Secret")}
    if overlay == "base":
        # The cluster's own: deploy/README.md says what must be in them.
        known |= {"freshwire-secrets", "freshwire-keys"}
    for workload in workloads(manifests):
        for volume in pod_of(workload).get("volumes", []):
            name = volume.get("configMap", {}).get("name") or volume.get("secret", {}).get("secretName")
            assert name in known, f"{title(workload)}: {name}"


def test_every_field_is_known_and_every_required_one_is_there(
    manifests: list[Manifest], tmp_path: Path, root: Path
) -> None:
    """A misspelt field would be ignored or refused by a cluster; here TypeScript's excess-property check finds it."""
    here = root / "tests/deploy"
    lines = []
    for number, one in enumerate(manifests):
        module = MODULES[one["apiVersion"]]
        literal = json.dumps(one, indent=1)
        lines.append(f"import type {{ {one['kind']} as Kind{number} }} from 'kubernetes-types/{module}';")
        lines.append(f"export const object{number}: Kind{number} = {literal};")
    source = tmp_path / "manifests.ts"
    source.write_text("\n".join(lines))
    (tmp_path / "node_modules").symlink_to(here / "node_modules")
    compiler = here / "node_modules/.bin/tsc"
    compiled = subprocess.run(
        [compiler, "--noEmit", "--strict", "--skipLibCheck", "--moduleResolution", "node", "--target", "es2020", source],
        capture_output=True,
        text=True,
        check=False,
    )
    assert compiled.returncode == 0, compiled.stdout


SECRETS = {
    "jwt-secret": "0123456789abcdef0123456789abcdef",
    "publish-keys": "one-key\nanother-key",
    "redis-url": "redis://:password@redis:6379/0",
    "secret-key": "MNw3}Fm<3#nDXAyNYo*@4Pp@jbRH9!QTZyXJ!Nnq",
    "server-keys": "h&Dc7LYlz^DPZ<r2&cXPsF%]g)pNX]!tht:eiJw/",
    "peers": "name=worker role=worker key=Q<<yAAzz^sL#G1V5zvh0+Y+#qQ4tH$-<Ke[-!p0<\n"
    "name=gateway role=gateway key=<cj28M>K7^=N}z1<-&Ka+9B**(6.kco0e:())=%>",
}


def option_environment(container: Manifest, tmp_path: Path) -> dict[str, str]:
    """The container's options; files that hold secrets are replaced by ones that exist here."""
    names = {}
    for one in container.get("env", []):
        value = one["value"]
        if one["name"].endswith("_FILE"):
            file = tmp_path / Path(value).name
            file.write_text(SECRETS[file.name] + "\n")
            value = str(file)
        names[one["name"]] = value
    return names


def test_the_binary_accepts_the_configuration_of_every_role(
    manifests: list[Manifest], tmp_path: Path, freshwire: str
) -> None:
    data = next(one for one in manifests if one["kind"] == "ConfigMap")["data"]
    file = tmp_path / "freshwire.yaml"
    file.write_text(data["freshwire.yaml"])
    for name, container in containers(manifests):
        if not container["image"].startswith("freshwire:"):
            continue
        assert container["args"][1:] == ["--config", "/etc/freshwire/freshwire.yaml"], name
        environment = {"PATH": os.environ["PATH"], **option_environment(container, tmp_path)}
        checked = subprocess.run(
            [freshwire, "config", "check", "--config", str(file)],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert checked.returncode == 0, f"{name}: {checked.stderr}"


def keys_of(container: Manifest, pod: Manifest) -> dict[str, str]:
    """What the container's folder of keys holds: file name to the Secret's entry."""
    mount = next(one for one in container["volumeMounts"] if one["mountPath"] == "/etc/freshwire-keys")
    volume = next(one for one in pod["volumes"] if one["name"] == mount["name"])["secret"]
    assert volume["secretName"].startswith("freshwire-keys")
    return {item["path"]: item["key"] for item in volume["items"]}


def test_every_role_has_its_own_key_and_knows_no_other_secret_one(manifests: list[Manifest]) -> None:
    lists = {"broker": "peers", "worker": "server-keys", "gateway": "server-keys"}
    for workload in workloads(manifests):
        pod = pod_of(workload)
        for container in pod["containers"]:
            if not container["image"].startswith("freshwire:"):
                continue
            role = container["args"][0]
            assert keys_of(container, pod) == {"secret-key": f"{role}.key", lists[role]: lists[role]}
            files = {one["name"]: one["value"] for one in container["env"]}
            assert files["FRESHWIRE_SECURITY_SECRET_KEY_FILE"] == "/etc/freshwire-keys/secret-key"
            name = lists[role].replace("-", "_").upper()
            assert files[f"FRESHWIRE_SECURITY_{name}_FILE"] == f"/etc/freshwire-keys/{lists[role]}"


def test_no_configuration_allows_links_without_keys(manifests: list[Manifest]) -> None:
    data = next(one for one in manifests if one["kind"] == "ConfigMap")["data"]
    assert "allow_plaintext" not in data["freshwire.yaml"]
    for name, container in containers(manifests):
        assert "FRESHWIRE_SECURITY_ALLOW_PLAINTEXT" not in {one["name"] for one in container.get("env", [])}, name


def test_the_keys_that_make_keys_makes_let_every_role_in(root: Path, tmp_path: Path, freshwire: str) -> None:
    folder = tmp_path / "keys"
    script = root / "deploy/kubernetes/make-keys"
    environment = {"PATH": os.environ["PATH"], "FRESHWIRE_BINARY": freshwire}
    made = subprocess.run([script, folder], env=environment, capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stderr
    names = {"broker.key", "worker.key", "gateway.key", "publisher.key", "server-keys", "peers"}
    for keys in (folder, root / "deploy/kubernetes/overlays/dev/keys"):
        assert {one.name for one in keys.iterdir()} == names
        public = {}
        for role in ("broker", "worker", "gateway", "publisher"):
            with (keys / f"{role}.key").open() as secret:
                derived = subprocess.run(
                    [freshwire, "keys", "--public"], stdin=secret, capture_output=True, text=True, check=False
                )
            public[role] = derived.stdout.strip()
        assert (keys / "server-keys").read_text().split() == [public.pop("broker")]
        rules = [f"name={role} role={role} key={key}" for role, key in public.items()]
        assert (keys / "peers").read_text().splitlines() == rules
    again = subprocess.run([script, folder], env=environment, capture_output=True, text=True, check=False)
    assert again.returncode != 0, "keys in use are not written over"
    assert all(one.stat().st_mode & 0o077 == 0 for one in folder.iterdir())


def printed_options(freshwire: str, file: Path) -> dict[str, dict[str, Any]]:
    printed = subprocess.run(
        [freshwire, "config", "print", "--config", str(file)],
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=False,
    )
    assert printed.returncode == 0, printed.stderr
    return yaml.safe_load(printed.stdout)


def milliseconds(text: str) -> int:
    for unit, factor in (("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000)):
        if text.endswith(unit) and text[: -len(unit)].isdigit():
            return int(text[: -len(unit)]) * factor
    raise ValueError(text)


def test_a_gateway_gets_more_time_to_stop_than_its_drain_takes(
    manifests: list[Manifest], tmp_path: Path, freshwire: str
) -> None:
    data = next(one for one in manifests if one["kind"] == "ConfigMap")["data"]
    file = tmp_path / "freshwire.yaml"
    file.write_text(data["freshwire.yaml"])
    options = printed_options(freshwire, file)["gateway"]
    drain_ms = milliseconds(str(options["drain_delay"])) + milliseconds(str(options["drain_window"]))
    gateway = next(one for one in manifests if title(one) == "Deployment/freshwire-gateway")
    assert pod_of(gateway)["terminationGracePeriodSeconds"] * 1000 >= drain_ms + 15_000


def test_every_role_can_be_reached_where_the_others_look_for_it(
    manifests: list[Manifest], tmp_path: Path, freshwire: str
) -> None:
    data = next(one for one in manifests if one["kind"] == "ConfigMap")["data"]
    file = tmp_path / "freshwire.yaml"
    file.write_text(data["freshwire.yaml"])
    options = printed_options(freshwire, file)
    service = next(one for one in manifests if title(one) == "Service/freshwire-broker")
    assert options["broker"]["host"] == service["metadata"]["name"]
    assert {one["name"]: one["port"] for one in service["spec"]["ports"]} == options["broker"]["ports"]
    ports = {}
    for _, container in containers(manifests):
        if container["image"].startswith("freshwire:"):
            ports |= {port["name"]: port["containerPort"] for port in container["ports"]}
    assert options["gateway"]["listen"] == f"0.0.0.0:{ports['public']}"
    assert options["admin"]["listen"] == f"0.0.0.0:{ports['admin']}"
