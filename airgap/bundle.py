"""Put the bundle together: programs, packages, manifests, one tar of all images, and the bill of what is in them."""

from __future__ import annotations

import json
import shutil
import subprocess
import tomllib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from airgap import debian, golang, mirrors, oci, python, rooms, wheel
from airgap.cache import Cache, digest_of, say
from airgap.components import HERE, GoComponent, read

SCAN = "inference/_scan.c"
"""What the service goes through the catalogue with."""
# What a node runs itself, outside of containers, and what people call, by the folder of the bundle that it goes to.
PROGRAMS: dict[str, dict[str, tuple[str, ...]]] = {
    "bin": {
        "kubernetes": ("kubeadm", "kubelet", "kubectl"),
        "containerd": ("containerd", "containerd-shim-runc-v2", "ctr"),
    },
    "cni": {"cni": ("bridge", "host-local", "loopback", "portmap")},
    "tools": {
        "argo-cd": ("argocd",),
        "argo-workflows": ("argo",),
        "kustomize": ("kustomize",),
        "prometheus": ("prometheus", "promtool"),
        "seaweedfs": ("weed",),
        "traefik": ("traefik",),
    },
}
# What an upgrade changes on a node, in the same layout.
UPGRADED: dict[str, dict[str, tuple[str, ...]]] = {"bin": {"kubernetes": ("kubeadm", "kubelet", "kubectl")}}
# One archive of images for each kind of node (images.toml, `on`).
ARCHIVES = ("cluster", "pods")


@dataclass(frozen=True)
class Ingredients:
    """Everything that is built or fetched, each in a folder of the cache."""

    go: dict[str, GoComponent]
    built: dict[str, Path]
    wheels: dict[str, Path]
    layers: dict[str, Path]
    rootfs: Path
    packages: Path
    compiled: dict[str, Path]
    versions: dict[str, str]


def build(output: Path) -> None:
    """Make the bundle under `output`; what did not change since the last time is taken from `output`/cache.

    Raises:
        SystemExit: If a tool is missing or a part cannot be built; the sentence says which.
    """
    for tool in ("go", "gcc", "git", "zstd"):
        if not shutil.which(tool):
            raise SystemExit(f"{tool} is missing and the bundle is made with it; install it and call this again.")
    output.mkdir(parents=True, exist_ok=True)
    tables = tomllib.loads((HERE / "components.toml").read_text())
    cache = Cache(output / "cache")
    parts = _gather(tables, cache)
    images = tomllib.loads((HERE / "images.toml").read_text())["image"]
    _programs(PROGRAMS, parts, output)
    _replace(output / "packages", lambda to: shutil.copytree(parts.packages, to))
    _manifests(tables, parts, output)
    _mirrors(tables, parts, output)
    archives = {name: _archive(name, images, parts, output) for name in ARCHIVES}
    _write_bill(_bill(archives, parts), output)
    upgrade(images, parts, output / "next")
    cache.forget_unused()


def upgrade(images: list[dict[str, Any]], parts: Ingredients, output: Path) -> None:
    """Make what `upgrade.yml` needs under `output`: a bundle of the next version of Kubernetes and of nothing else."""
    after = "kubernetes-next"
    parts = replace(
        parts,
        built=parts.built | {"kubernetes": parts.built[after]},
        versions=parts.versions | {"kubernetes": parts.versions[after]},
    )
    output.mkdir(parents=True, exist_ok=True)
    _programs(UPGRADED, parts, output)
    archive = _archive("cluster", [image for image in images if "{kubernetes}" in image["name"]], parts, output)
    module = {"kubernetes": f"{parts.go[after].module}@{parts.go[after].version}"}
    _write_bill({"archives": {"cluster": archive}, "modules": module}, output)


def _gather(tables: dict[str, Any], cache: Cache) -> Ingredients:
    table, go = tables["debian"], read()
    rootfs = debian.base(table["release"], table["base"], cache)
    wheels = {name: wheel.Wheel(**named) for name, named in tables["wheel"].items()}
    debian.machine(rootfs, table["machine"], cache)
    return Ingredients(
        go=go,
        rootfs=rootfs,
        packages=debian.packages("host", rootfs, table["packages"], cache),
        layers={name: debian.layer(name, rootfs, wanted, cache) for name, wanted in table["layers"].items()}
        | {name: python.environment(name, locks, cache) for name, locks in tables["python"].items()},
        wheels={name: wheel.fetch(named, cache) for name, named in wheels.items()},
        built={name: golang.build(component, cache) for name, component in go.items()},
        compiled={
            "kubernetes/build/pause/linux/pause.c": _pause(go["kubernetes"], cache),
            f"segue/{SCAN}": _scan(cache),
        },
        versions={name: component.version for name, component in go.items()}
        | {name: f"v{named.version}" for name, named in wheels.items()}
        | {"segue": rooms.version()},
    )


def _pause(kubernetes: GoComponent, cache: Cache) -> Path:
    """Compile the program that holds a pod's namespaces open: it is C, and all of it is one file."""

    def compile_c(folder: Path) -> None:
        source = golang.tree(kubernetes) / "build/pause/linux/pause.c"
        flags = ["-Os", "-static", "-s", f"-DVERSION={kubernetes.version}"]
        subprocess.run(["gcc", *flags, "-o", str(folder / "pause"), str(source)], check=True)

    return cache.make("pause", digest_of(kubernetes.version), compile_c) / "pause"


def _scan(cache: Cache) -> Path:
    """Compile the scan of the catalogue, as inference/Dockerfile does."""
    source = rooms.ROOT / SCAN

    def compile_c(folder: Path) -> None:
        flags = ["-std=c11", "-O3", "-shared", "-fPIC"]
        subprocess.run(["gcc", *flags, "-o", str(folder / "_scan.so"), str(source)], check=True)

    return cache.make("scan", digest_of(source.read_text()), compile_c) / "_scan.so"


def _archive(name: str, tables: list[dict[str, Any]], parts: Ingredients, output: Path) -> dict[str, Any]:
    """Write images-NAME.tar where it is not what it should be, and return what the bill says of it."""
    mine = [table for table in tables if table.get("on", "cluster") == name]
    used = {layer for table in mine for layer in table.get("layers", [])}
    layers = {layer: folder for layer, folder in _trees(parts).items() if layer in used}
    layers_of_own = {table["name"]: _own_layer(table, parts) for table in mine if _has_own_layer(table)}
    made_of = (*map(str, layers.values()), *map(_content, layers_of_own.values()))
    names = [table["name"].format_map(parts.versions) for table in mine]
    digest = digest_of(mine, names, HERE / "oci.py", *made_of)
    path, known = output / f"images-{name}.tar", output / f"images-{name}.json"
    if not (path.exists() and known.exists() and json.loads(known.read_text())["digest"] == digest):
        say(f"{path.name}: …")
        known.unlink(missing_ok=True)
        all_layers = {layer: oci.Layer(tree=folder) for layer, folder in layers.items()} | layers_of_own
        digests = oci.write(path, all_layers, [_image(table, parts) for table in mine])
        known.write_text(json.dumps({"digest": digest, "images": _contents(mine, digests, parts)}, indent=1) + "\n")
    say(f"{path}: {path.stat().st_size / 2**20:.0f} MiB, {len(mine)} images")
    described: dict[str, Any] = json.loads(known.read_text())
    return described


def _trees(parts: Ingredients) -> dict[str, Path]:
    return {"debian": parts.rootfs / "rootfs"} | parts.layers


def _content(layer: oci.Layer) -> list[list[str]]:
    """Say what a layer of single files is made of: programs by their folder in the cache, others by their bytes."""
    small = 2**20
    return [
        [path, str(mode), str(source) if source.stat().st_size > small else digest_of(source)]
        for path, (source, mode) in sorted(layer.files.items())
    ]


def _programs(wanted: dict[str, dict[str, tuple[str, ...]]], parts: Ingredients, output: Path) -> None:
    found = parts.built | parts.wheels
    for folder, components in wanted.items():
        shutil.rmtree(output / folder, ignore_errors=True)
        (output / folder).mkdir()
        for component, programs in components.items():
            for program in programs:
                (output / folder / program).hardlink_to(found[component] / program)


def _manifests(tables: dict[str, Any], parts: Ingredients, output: Path) -> None:
    shutil.rmtree(output / "manifests", ignore_errors=True)
    for name, paths in tables["manifests"].items():
        tree = golang.tree(parts.go[name])
        for path in paths:
            target = output / "manifests" / name / Path(path).relative_to(Path(path).parts[0])
            target.parent.mkdir(parents=True, exist_ok=True)
            copy = shutil.copytree if (tree / path).is_dir() else shutil.copyfile
            copy(tree / path, target)
    subprocess.run(["chmod", "-R", "u+w", str(output / "manifests")], check=True)  # the module cache is read-only


def _mirrors(tables: dict[str, Any], parts: Ingredients, output: Path) -> None:
    shutil.rmtree(output / "git", ignore_errors=True)
    for name, folders in tables["mirrors"].items():
        named = tables["sources"].get(name, {})
        source = parts.go.get(name) or GoComponent(name, named["module"], named["version"], commands={})
        tag = named.get("tag", source.version)
        target = output / "git" / f"{name}.git"
        mirrors.mirror(golang.tree(source), folders, tag, target, named.get("folder", ""))


def _has_own_layer(table: dict[str, Any]) -> bool:
    return any(table.get(key) for key in ("files", "links", "folders", "rooms"))


def _own_layer(table: dict[str, Any], parts: Ingredients) -> oci.Layer:
    return oci.Layer(
        files={target: _source(source, parts) for target, source in table.get("files", {}).items()}
        | {f"/app/{path}": (rooms.ROOT / path, 0o644) for path in rooms.files(table.get("rooms", []))},
        links=table.get("links", {}),
        folders={path: _owner(**owned) for path, owned in table.get("folders", {}).items()},
    )


def _owner(mode: str = "0755", owner: str = "0:0") -> tuple[int, int, int]:
    user, group = owner.split(":")
    return int(mode, 8), int(user), int(group)


def _source(named: str, parts: Ingredients) -> tuple[Path, int]:
    kind, _, path = named.partition(":")
    component, _, inside = path.partition("/")
    match kind:
        case "go":
            return parts.built[component] / inside, 0o755
        case "tree":
            return golang.tree(parts.go[component]) / inside, 0o755
        case "c":
            return parts.compiled[path], 0o755
        case "wheel":
            return parts.wheels[component] / component, 0o755
        case "own":
            return HERE / "files" / path, 0o644
    raise SystemExit(f"images.toml: {named} has to begin with go:, tree:, c:, wheel: or own:.")


def _image(table: dict[str, Any], parts: Ingredients) -> oci.Image:
    keys = {"entrypoint": "Entrypoint", "cmd": "Cmd", "user": "User", "workdir": "WorkingDir"}
    config: dict[str, Any] = {theirs: table[ours] for ours, theirs in keys.items() if ours in table}
    config["Env"] = [f"{name}={value}" for name, value in table.get("env", {}).items()]
    own = [table["name"]] if _has_own_layer(table) else []
    return oci.Image(table["name"].format_map(parts.versions), [*table.get("layers", []), *own], config)


def _contents(tables: list[dict[str, Any]], digests: dict[str, str], parts: Ingredients) -> dict[str, Any]:
    return {
        name: {key: table[key] for key in ("layers", "files", "rooms") if key in table} | {"digest": digests[name]}
        for table in tables
        for name in [table["name"].format_map(parts.versions)]
    }


def _bill(archives: dict[str, dict[str, Any]], parts: Ingredients) -> dict[str, Any]:
    return {
        "archives": archives,
        "modules": {name: f"{part.module}@{part.version}" for name, part in parts.go.items()},
        "wheels": {name: parts.versions[name] for name in parts.wheels},
        "debian": debian.versions(parts.rootfs / "rootfs"),
        "packages": debian.named_versions(parts.packages),
    }


def _write_bill(bill: dict[str, Any], output: Path) -> None:
    (output / "bill.json").write_text(json.dumps(bill, indent=1) + "\n")


def _replace(target: Path, make: Any) -> None:
    shutil.rmtree(target, ignore_errors=True)
    make(target)
