"""Root file systems and packages from Debian."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from airgap.cache import Cache, digest_of

# Nothing that is read at run time: documentation, translations, what apt has fetched and what it knew that day.
UNNEEDED = (
    "usr/share/doc",
    "usr/share/man",
    "usr/share/locale",
    "usr/share/info",
    "var/cache/apt",
    "var/lib/apt/lists",
)
# Links into /usr in every Debian since bookworm.
MERGED = ("bin", "lib", "lib32", "lib64", "libx32", "sbin")


def base(release: str, packages: list[str], cache: Cache) -> Path:
    """Return a folder with `rootfs/`: a minimal Debian with `packages`."""
    return cache.make("debian", digest_of(release, packages), lambda folder: _debootstrap(release, packages, folder))


def machine(base: Path, packages: list[str], cache: Cache) -> Path:
    """Return a folder with `rootfs/`: the base as a bare machine has it, with a process supervisor and `ip`."""
    return cache.make("machine", digest_of(base.name, packages), lambda folder: _machine(base, packages, folder, cache))


def packages(name: str, base: Path, wanted: list[str], cache: Cache) -> Path:
    """Return a folder of `.deb` files: `wanted` and everything they need that the base lacks."""
    return cache.make(f"packages-{name}", digest_of(base.name, wanted), lambda folder: _fetch(base, wanted, folder))


def layer(name: str, base: Path, wanted: list[str], cache: Cache) -> Path:
    """Return a folder of files: packages unpacked, without their scripts having run."""
    debs = packages(name, base, wanted, cache)
    return cache.make(f"layer-{name}", digest_of(debs.name), lambda folder: _unpack(debs, folder))


def versions(rootfs: Path) -> dict[str, str]:
    """Return the version of every package that a root file system has."""
    shown = _output("dpkg-query", f"--admindir={rootfs}/var/lib/dpkg", "--show", "--showformat=${Package} ${Version}\n")
    return dict(line.split(" ", 1) for line in shown.splitlines())


def named_versions(debs: Path) -> dict[str, str]:
    """Return the version of every package in a folder of `.deb` files."""
    shown_each = (_output("dpkg-deb", "--show", str(deb)).split() for deb in sorted(debs.glob("*.deb")))
    return {shown[0]: shown[1] for shown in shown_each}


def _debootstrap(release: str, packages: list[str], folder: Path) -> None:
    if not shutil.which("debootstrap"):
        raise SystemExit("The base image is made with debootstrap and it is missing; sudo apt-get install debootstrap.")
    rootfs = folder / "rootfs"
    _run("debootstrap", "--variant=minbase", f"--include={','.join(packages)}", release, str(rootfs))
    for unneeded in UNNEEDED:
        shutil.rmtree(rootfs / unneeded, ignore_errors=True)
    for device in (rootfs / "dev").iterdir():
        shutil.rmtree(device) if device.is_dir() and not device.is_symlink() else device.unlink()


def _machine(base: Path, wanted: list[str], folder: Path, cache: Cache) -> None:
    debs = packages("machine", base, wanted, cache)
    _run("cp", "-a", str(base / "rootfs"), str(folder / "rootfs"))
    (folder / "rootfs/debs").mkdir()
    for deb in debs.glob("*.deb"):
        shutil.copy(deb, folder / "rootfs/debs")
    _run("chroot", str(folder / "rootfs"), "sh", "-c", "DEBIAN_FRONTEND=noninteractive dpkg -i /debs/*.deb")
    shutil.rmtree(folder / "rootfs/debs")


def _fetch(base: Path, wanted: list[str], folder: Path) -> None:
    """Let apt work out what the base lacks; the lists are this machine's, so it has to run the same release."""
    (folder / "partial").mkdir()
    here = ["-o", f"Dir::State::status={base}/rootfs/var/lib/dpkg/status", "-o", f"Dir::Cache::archives={folder}"]
    quiet = ["-o", "Debug::NoLocking=1", "-o", "APT::Sandbox::User=root", "-o", "APT::Keep-Downloaded-Packages=1"]
    _run("apt-get", *here, *quiet, "install", "--download-only", "--no-install-recommends", "--yes", *wanted)
    shutil.rmtree(folder / "partial")


def _unpack(debs: Path, folder: Path) -> None:
    for name in MERGED:  # or the layer would put a folder where the base has a link
        (folder / "usr" / name).mkdir(parents=True, exist_ok=True)
        (folder / name).symlink_to(f"usr/{name}")
    for deb in sorted(debs.glob("*.deb")):
        pipe = f"dpkg-deb --fsys-tarfile '{deb}' | tar --extract --keep-directory-symlink --directory '{folder}'"
        _run("bash", "-o", "pipefail", "-c", pipe)
    for name in MERGED:
        (folder / name).unlink()
    for unneeded in UNNEEDED:
        shutil.rmtree(folder / unneeded, ignore_errors=True)


def _run(*command: str) -> None:
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stdout[-2000:]}")


def _output(*command: str) -> str:
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
