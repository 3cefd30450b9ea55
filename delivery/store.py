"""The store of bundles: ``bundles/sha256/<64 hex>/`` holds a bundle's files and how it was judged.

The manifest is put last, so that half an upload is never a bundle. ``report.json`` is the newest judgement; every
judgement also stays under ``reports/<64 hex>.json`` by its own sha256, so that what a pin names can always be read.
``model.sig`` is who vouches for the bundle; it is no part of the digest, so another key can sign the same bundle later.
"""

import tempfile
from pathlib import Path

from delivery.digests import hex_of
from delivery.objects import Objects, StoreError
from segue.bundle import MANIFEST, REPORT, SIGNATURE, Bundle, Manifest, manifest_digest
from segue.errors import AlteredBundleError, BundleError
from segue.files import sha256_bytes, whole_directory


class BundleStore:
    """Bundles and their reports, by digest."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects

    def address(self, digest: str) -> str:
        """Return where a bundle is, as the registry names it."""
        return f"{self._objects.address}/bundles/sha256/{hex_of(digest)}"

    @property
    def place(self) -> str:
        """Where all of this is kept."""
        return self._objects.address

    def holds(self, digest: str) -> bool:
        """Return whether a bundle is here at all, whole or not.

        Raises:
            StoreAwayError: Nothing is known of what is here.
        """
        return self._objects.read(_key(digest, MANIFEST)) is not None

    def put(self, bundle: Bundle) -> bool:
        """Keep a bundle; return False where it already stands there, every byte as it should be."""
        if self._intact(bundle.digest):
            return False
        for name in bundle.manifest.files:
            self._objects.put(_key(bundle.digest, name), bundle.file(name))
        self._objects.write(_key(bundle.digest, MANIFEST), bundle.manifest.to_bytes())
        return True

    def put_report(self, digest: str, report: bytes) -> str:
        """Keep a judgement of a bundle as its newest; return the report's digest."""
        sha = sha256_bytes(report)
        self._objects.write(_key(digest, f"reports/{sha}.json"), report)
        self._objects.write(_key(digest, REPORT), report)
        return f"sha256:{sha}"

    def report(self, digest: str, report: str) -> bytes:
        """Return the bytes of one judgement of a bundle, verified.

        Raises:
            StoreError: It is missing, or is not what its digest says.
        """
        data = self._objects.read(_key(digest, f"reports/{hex_of(report)}.json"))
        if data is None:
            raise StoreError(f"The store lacks the report {report} of the bundle {digest}; publish the bundle again.")
        return _verified(data, digest, report)

    def newest_report(self, digest: str, report: str) -> bytes:
        """Return the newest judgement of a bundle, which has to be ``report``.

        Raises:
            StoreError: It is missing, or is another one than was published last.
        """
        data = self._objects.read(_key(digest, REPORT))
        if data is None:
            raise StoreError(f"The store lacks the {REPORT} of the bundle {digest}; publish the bundle again.")
        return _verified(data, digest, report)

    def put_signature(self, digest: str, signature: bytes) -> None:
        """Keep a bundle's signature, in place of an earlier one: after a rotation a newer key vouches for it."""
        self._objects.write(_key(digest, SIGNATURE), signature)

    def signature(self, digest: str) -> bytes | None:
        """Return a bundle's signature as it is, or None where it has none."""
        return self._objects.read(_key(digest, SIGNATURE))

    def fetch(self, digest: str, target: Path) -> Bundle:
        """Copy a bundle to the folder ``target``, with its signature if any, whole and verified, or not at all.

        Raises:
            StoreError: The store does not hold it.
            BundleError: What it holds is not the bundle of this digest.
        """
        with whole_directory(target) as staging:
            self._copy(digest, staging)
            if (signature := self.signature(digest)) is not None:
                (staging / SIGNATURE).write_bytes(signature)
            Bundle.open(staging, digest)
        return Bundle.open(target, digest)

    def verify(self, digest: str) -> Manifest:
        """Read every byte of a bundle in the store and return its manifest.

        Raises:
            StoreError: The store does not hold it.
            BundleError: What it holds is not the bundle of this digest.
        """
        with tempfile.TemporaryDirectory(prefix="segue-") as folder:
            self._copy(digest, Path(folder))
            return Bundle.open(Path(folder), digest).manifest

    def _copy(self, digest: str, folder: Path) -> None:
        data = self._objects.read(_key(digest, MANIFEST))
        if data is None:
            raise StoreError(f"The store {self._objects.address} does not hold the bundle {digest}; publish it.")
        if manifest_digest(data) != digest:
            raise AlteredBundleError(f"The manifest of {digest} in the store was changed; publish the bundle again.")
        for name in Manifest.from_bytes(data, f"of {digest}").files:
            # The manifest is only as trustworthy as who wrote it: a name must not leave the folder.
            if Path(name).name != name or not self._objects.fetch(_key(digest, name), folder / name):
                raise AlteredBundleError(f"The bundle {digest} in the store lacks its file {name!r}; publish it again.")
        (folder / MANIFEST).write_bytes(data)

    def _intact(self, digest: str) -> bool:
        try:
            self.verify(digest)
        except (BundleError, StoreError):
            return False
        return True


def _key(digest: str, name: str) -> str:
    return f"bundles/sha256/{hex_of(digest)}/{name}"


def _verified(data: bytes, digest: str, report: str) -> bytes:
    if f"sha256:{sha256_bytes(data)}" != report:
        raise StoreError(
            f"The report of the bundle {digest} in the store is not the one that was published ({report}): "
            "it was changed; judge the bundle again and publish it with its new report."
        )
    return data
