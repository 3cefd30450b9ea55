"""Write the go.mod of a component: upstream's own choice of every version, without its private folders."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

from airgap.components import GoComponent


def pin(component: GoComponent) -> None:
    """Write modules/NAME/go.mod and go.sum from the published module.

    A replacement is only honoured in the main module, so upstream's go.mod is taken over line for line. Replacements by
    a folder (`=> ./staging/…`) have no meaning outside upstream's repository: `replace` or `staging` names a published
    version for them, and otherwise the version that is required anyway holds.

    Raises:
        subprocess.CalledProcessError: If the module proxy refuses the module.
    """
    module = download(component)
    upstream = json.loads(_go("mod", "edit", "-json", module["GoMod"]))
    component.folder.mkdir(parents=True, exist_ok=True)
    (component.folder / "go.mod").write_text("\n".join(_lines(component, upstream)) + "\n")
    sums = Path(module["Dir"], "go.sum")
    (component.folder / "go.sum").write_text(sums.read_text() if sums.exists() else "")
    # -e: a package whose generated files are not published is found all the same
    tidy = ["go", "list", "-e", "-mod=mod", "-deps", *packages(component)]
    subprocess.run(tidy, cwd=component.folder, check=True, stdout=subprocess.DEVNULL, env=environment())


def download(component: GoComponent) -> dict[str, Any]:
    """Fetch the module and return what `go mod download -json` says of it: GoMod, Dir, Sum."""
    answer: dict[str, Any] = json.loads(_go("mod", "download", "-json", f"{component.module}@{component.version}"))
    return answer


def packages(component: GoComponent) -> list[str]:
    """Return the import paths of its programs."""
    return [import_path(component, package) for package in component.commands.values()]


def import_path(component: GoComponent, package: str) -> str:
    """Return the import path of a package that is named by its path inside the module."""
    return component.module if package == "." else f"{component.module}/{package}"


def environment() -> dict[str, str]:
    """Return the environment of every compilation: static, without paths of this machine, the installed Go alone."""
    return {
        **os.environ,
        "CGO_ENABLED": "0",
        "GOFLAGS": "-buildvcs=false -trimpath",
        "GOTOOLCHAIN": "local",
        "GOWORK": "off",
    }


def _lines(component: GoComponent, upstream: dict[str, Any]) -> list[str]:
    requires = upstream.get("Require") or []
    lines = [f"module segue.local/airgap/{component.name}", "", f"go {upstream['Go']}", ""]
    lines += ["require (", f"\t{component.module} {component.version}"]
    lines += [f"\t{r['Path']} {r['Version']}{' // indirect' if r.get('Indirect') else ''}" for r in requires]
    lines += [")", ""]
    lines += [line for r in upstream.get("Replace") or [] if (line := _replacement(component, r))]
    lines += [f"exclude {e['Path']} {e['Version']}" for e in upstream.get("Exclude") or []]
    return lines


def _replacement(component: GoComponent, replace: dict[str, Any]) -> str:
    old, new = replace["Old"], replace["New"]
    if new.get("Version"):
        return f"replace {' '.join(filter(None, (old['Path'], old.get('Version'))))} => {new['Path']} {new['Version']}"
    version = component.replace.get(old["Path"]) or component.staging
    return f"replace {old['Path']} => {old['Path']} {version}" if version else ""


def _go(*arguments: str) -> str:
    return subprocess.run(
        ["go", *arguments], check=True, stdout=subprocess.PIPE, text=True, cwd=Path.home(), env=environment()
    ).stdout
