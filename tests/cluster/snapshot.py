"""What a machine is like, so that before and after can be compared."""

import re
from pathlib import Path

from tests.cluster.machines import Machines

SYSCTLS = (
    "kernel/panic",
    "kernel/panic_on_oops",
    "vm/overcommit_memory",
    "vm/panic_on_oom",
    "fs/inotify/max_user_instances",
)

# What changes by being used: logs, caches, the packager's own books.
_RESTLESS = re.compile(
    r"^/(proc|sys|dev|tmp|root/\.ansible|var/(log|cache|tmp)|var/lib/(dpkg|systemd))(/|$)|^/etc/ld\.so\.cache$"
)


def of_host() -> dict[str, list[str]]:
    """Return this host's mounts, interfaces, routes, kernel settings and groups of processes."""
    return {
        "mounts": sorted(line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()),
        "interfaces": sorted(path.name for path in Path("/sys/class/net").iterdir()),
        "routes": sorted(Path("/proc/net/route").read_text().splitlines()),
        "sysctls": [Path("/proc/sys", name).read_text() for name in (*SYSCTLS, "net/ipv4/ip_forward")],
        "cgroups": sorted(str(path) for path in Path("/sys/fs/cgroup").glob("*/*") if path.is_dir()),
    }


def of_node(machines: Machines, name: str) -> dict[str, list[str]]:
    """Return a machine's files, mounts, interfaces, routes, kernel settings, packages and groups of processes."""
    found = machines.enter(name, "find", "/", "-xdev", "-printf", "%p %y %m %u %g\n").splitlines()
    cgroups = machines.enter(name, "find", "/sys/fs/cgroup", "-mindepth", "2", "-maxdepth", "2", "-type", "d")
    return {
        "files": sorted(line for line in found if not _RESTLESS.search(line.split(" ")[0])),
        "mounts": sorted(line.split()[4] for line in machines.enter(name, "cat", "/proc/1/mountinfo").splitlines()),
        "interfaces": sorted(machines.enter(name, "ls", "/sys/class/net").split()),
        "routes": sorted(machines.enter(name, "ip", "route").splitlines()),
        "sysctls": machines.enter(name, "cat", *(f"/proc/sys/{key}" for key in SYSCTLS)).split(),
        "forwarding": machines.enter(name, "cat", "/proc/sys/net/ipv4/ip_forward").split(),
        "packages": machines.enter(name, "dpkg-query", "--show").splitlines(),
        "cgroups": sorted(cgroups.splitlines()),
        "hosts": machines.enter(name, "cat", "/etc/hosts").splitlines(),
    }


def differences(before: dict[str, list[str]], after: dict[str, list[str]]) -> dict[str, list[str]]:
    """Return, by kind, what has gone (-) and what has come (+)."""
    changes = {}
    for kind, lines in before.items():
        had, has = set(lines), set(after[kind])
        changes[kind] = [f"- {line}" for line in sorted(had - has)] + [f"+ {line}" for line in sorted(has - had)]
    return {kind: lines for kind, lines in changes.items() if lines}
