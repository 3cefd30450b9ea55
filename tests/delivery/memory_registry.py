"""A registry in memory: our own port, held to the same contract as MLflow's adapter (test_registry)."""

from delivery.registry import Entry, Evidence, RegistryError, Version


class MemoryRegistry:
    """Versions in a list and aliases in a dict; `away` makes it as unreachable as a server that is down."""

    def __init__(self) -> None:
        self.versions: list[Version] = []
        self.aliases: dict[str, int] = {}
        self.runs: list[tuple[int, str, Evidence]] = []
        self.away = False

    def register(self, entry: Entry, evidence: Evidence) -> Version:
        self._answer()
        self.versions.append(Version(len(self.versions) + 1, entry))
        return self.versions[-1]

    def find(self, digest: str) -> Version | None:
        self._answer()
        return next((one for one in reversed(self.versions) if one.entry.digest == digest), None)

    def get(self, number: int) -> Version | None:
        self._answer()
        return next((one for one in self.versions if one.number == number), None)

    def newest(self) -> Version | None:
        self._answer()
        return self.versions[-1] if self.versions else None

    def measured(self, number: int, name: str, evidence: Evidence) -> None:
        self._answer()
        if self.get(number) is None:
            raise RegistryError(f"The registry has no version {number}.")
        self.runs.append((number, name, evidence))

    def mark(self, environment: str, number: int) -> None:
        self._answer()
        self.aliases[environment] = number

    def marked(self, environment: str) -> int | None:
        self._answer()
        return self.aliases.get(environment)

    def _answer(self) -> None:
        if self.away:
            raise RegistryError("The registry does not answer.")
