"""Put the bundle together: programs, packages, manifests, one tar of all images, and the bill of what is in them."""

from __future__ import annotations

import json
import shutil
import subprocess
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from airgap import debian, golang, oci, wheel
from airgap.cache import Cache, digest_of, say
from airgap.components import HERE, GoComponent, read

# What a node runs itself, outside of containers, by the folder of the bundle that it goes to.
PROGRAMS: dict[str, dict[str, tuple[str, ...]]] = {
    "bin": {
        "kubernetes": ("kubeadm", "kubelet", "kubectl"),
        "containerd": ("containerd", "containerd-shim-runc-v2", "ctr"),
    },
    "cni": {"cni": ("bridge", "host-local", "loopback", "portmap")},
}


@dataclass(frozen=True)
class Ingredients:
    """Everything that is built or fetched, each in a folder of the cache."""

    go: dict[str, GoComponent]
    built: dict[str, Path]
    wheels: dict[str, Path]
    layers: dict[str, Path]
    rootfs: Path
    packages: Path
    pause: Path
    versions: dict[str, str]


def build(output: Path) -> None:
    """Make the bundle under `output`; what did not change since the last time is taken from `output`/cache.

    Raises:
        SystemExit: If a tool is missing or a part cannot be built; the sentence says which.
    """
    for tool in ("go", "gcc"):
        if not shutil.which(tool):
            raise SystemExit(f"{tool} is missing and the bundle is compiled with it; install it and call this again.")
    output.mkdir(parents=True, exist_ok=True)
    tables = tomllib.loads((HERE / "components.toml").read_text())
    cache = Cache(output / "cache")
    parts = _gather(tables, cache)
    images = tomllib.loads((HERE / "images.toml").read_text())["image"]
    digest = digest_of(images, tables, *(str(path) for path in _folders(parts)), *sorted(HERE.glob("files/**/[!.]*.*")))
    _programs(parts, output)
    _replace(output / "packages", lambda to: shutil.copytree(parts.packages, to))
    _manifests(tables, parts, output)
    if not _stands(output, digest):
        say("images.tar: …")
        digests = _images(images, parts, output / "images.tar")
        (output / "bill.json").write_text(json.dumps(_bill(digest, images, digests, parts), indent=1) + "\n")
    say(f"{output}/images.tar: {(output / 'images.tar').stat().st_size / 2**20:.0f} MiB, {len(images)} images")


def _gather(tables: dict[str, Any], cache: Cache) -> Ingredients:
    table, go = tables["debian"], read()
    rootfs = debian.base(table["release"], table["base"], cache)
    wheels = {name: wheel.Wheel(**named) for name, named in tables["wheel"].items()}
    debian.machine(rootfs, table["machine"], cache)
    return Ingredients(
        go=go,
        rootfs=rootfs,
        packages=debian.packages("host", rootfs, table["packages"], cache),
        layers={name: debian.layer(name, rootfs, wanted, cache) for name, wanted in table["layers"].items()},
        wheels={name: wheel.fetch(named, cache) for name, named in wheels.items()},
        built={name: golang.build(component, cache) for name, component in go.items()},
        pause=_pause(go["kubernetes"], cache),
        versions={name: component.version for name, component in go.items()}
        | {name: f"v{named.version}" for name, named in wheels.items()},
    )


def _pause(kubernetes: GoComponent, cache: Cache) -> Path:
    """Compile the program that holds a pod's namespaces open: it is C, and all of it is one file."""

    def compile_c(folder: Path) -> None:
        source = golang.tree(kubernetes) / "build/pause/linux/pause.c"
        flags = ["-Os", "-static", "-s", f"-DVERSION={kubernetes.version}"]
        subprocess.run(["gcc", *flags, "-o", str(folder / "pause"), str(source)], check=True)

    return cache.make("pause", digest_of(kubernetes.version), compile_c)


def _folders(parts: Ingredients) -> list[Path]:
    groups = (parts.built, parts.wheels, parts.layers)
    return [parts.rootfs, parts.packages, parts.pause, *(folder for group in groups for folder in group.values())]


def _stands(output: Path, digest: str) -> bool:
    bill = output / "bill.json"
    return (output / "images.tar").exists() and bill.exists() and json.loads(bill.read_text())["digest"] == digest


def _programs(parts: Ingredients, output: Path) -> None:
    for folder, components in PROGRAMS.items():
        shutil.rmtree(output / folder, ignore_errors=True)
        (output / folder).mkdir()
        for component, programs in components.items():
            for program in programs:
                (output / folder / program).hardlink_to(parts.built[component] / program)


def _manifests(tables: dict[str, Any], parts: Ingredients, output: Path) -> None:
    sources = parts.go | {
        name: GoComponent(name=name, commands={}, **named) for name, named in tables["sources"].items()
    }
    shutil.rmtree(output / "manifests", ignore_errors=True)
    for name, paths in tables["manifests"].items():
        tree = golang.tree(sources[name])
        for path in paths:
            target = output / "manifests" / name / Path(path).relative_to(Path(path).parts[0])
            target.parent.mkdir(parents=True, exist_ok=True)
            copy = shutil.copytree if (tree / path).is_dir() else shutil.copyfile
            copy(tree / path, target)
    subprocess.run(["chmod", "-R", "u+w", str(output / "manifests")], check=True)  # the module cache is read-only


def _images(tables: list[dict[str, Any]], parts: Ingredients, path: Path) -> dict[str, str]:
    layers = {"debian": oci.Layer(tree=parts.rootfs / "rootfs")}
    layers |= {name: oci.Layer(tree=folder) for name, folder in parts.layers.items()}
    layers |= {table["name"]: _own_layer(table, parts) for table in tables if _has_own_layer(table)}
    return oci.write(path, layers, [_image(table, parts) for table in tables])


def _has_own_layer(table: dict[str, Any]) -> bool:
    return any(table.get(key) for key in ("files", "links", "folders"))


def _own_layer(table: dict[str, Any], parts: Ingredients) -> oci.Layer:
    return oci.Layer(
        files={target: _source(source, parts) for target, source in table.get("files", {}).items()},
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
            return parts.pause / "pause", 0o755
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


def _bill(digest: str, tables: list[dict[str, Any]], digests: dict[str, str], parts: Ingredients) -> dict[str, Any]:
    contents = {
        name: {"digest": digests[name], "layers": table.get("layers", []), "files": table.get("files", {})}
        for table in tables
        for name in [table["name"].format_map(parts.versions)]
    }
    return {
        "digest": digest,
        "images": contents,
        "modules": {name: f"{part.module}@{part.version}" for name, part in parts.go.items()},
        "wheels": {name: parts.versions[name] for name in parts.wheels},
        "debian": debian.versions(parts.rootfs / "rootfs"),
        "packages": debian.named_versions(parts.packages),
    }


def _replace(target: Path, make: Any) -> None:
    shutil.rmtree(target, ignore_errors=True)
    make(target)
