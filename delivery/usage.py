"""What a process of the service has used so far, as it tells itself at /metrics."""

import re
import urllib.request
from dataclasses import dataclass

from segue.errors import NO_ANSWER

_TIMEOUT = 5
_LOOKS = 8
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # it is asked where the load goes
_TOLD = re.compile(r"^process_(start_time_seconds|cpu_seconds_total|resident_memory_bytes) (\S+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Usage:
    """One process at one moment.

    Attributes:
        started: When it started, in seconds since 1970: by this it is told from the process of another pod.
        cpu_seconds: CPU time that it has used since.
        resident_bytes: Its resident memory.
    """

    started: float
    cpu_seconds: float
    resident_bytes: float


def look(url: str) -> Usage | None:
    """Return what the process behind an address has used, None where nobody tells: a gateway keeps it to itself."""
    try:
        with _OPENER.open(f"{url}/metrics", timeout=_TIMEOUT) as response:
            told = {name: float(value) for name, value in _TOLD.findall(response.read().decode(errors="replace"))}
        return Usage(told["start_time_seconds"], told["cpu_seconds_total"], told["resident_memory_bytes"])
    except (*NO_ANSWER, ValueError, KeyError):
        return None


def since(before: Usage | None, url: str, seconds: float) -> dict[str, float]:
    """Return what a process used in the ``seconds`` since ``before``: cores, and megabytes that are resident now.

    Several pods may stand behind one address, so it is asked until the same one answers; where that does not, nothing
    is returned.
    """
    for _ in range(_LOOKS if before else 0):
        now = look(url)
        if now is None:
            break
        if before and now.started == before.started:
            cores = (now.cpu_seconds - before.cpu_seconds) / seconds
            return {"service_cores": cores, "resident_megabytes": now.resident_bytes / 1e6}
    return {}
