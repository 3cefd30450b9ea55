"""Fetch the bundle that an environment pins from the object store: whole and verified, or not at all."""

from pathlib import Path

from inference.store import Store
from segue.bundle import MANIFEST, REPORT, SIGNATURE, Bundle, Manifest, manifest_digest
from segue.errors import AlteredBundleError, BundleError, InputError
from segue.files import sha256_bytes, whole_directory

_HEX = frozenset("0123456789abcdef")


def fetch(store: Store, digest: str, report: str, target: Path, trusted: Path | None = None) -> Bundle:
    """Copy a bundle to the folder ``target``, with the judgement that the pin names.

    Args:
        store: Where `segue publish` put it.
        digest: The bundle, ``sha256:…``.
        report: The report that judged it, ``sha256:…``; "" for none.
        target: The folder; an earlier one is replaced.
        trusted: Folder of the keys of which one must have signed it; None asks for no signature.

    Raises:
        InputError: ``digest`` or ``report`` is no digest, ``trusted`` does not say whom to trust, or ``target``
            cannot be written.
        StoreError: The store cannot be reached or does not hold it.
        BundleError: What it holds is not what the digests say, or nobody trusted signed it.
    """
    root = f"bundles/sha256/{_hex(digest)}"
    manifest = store.read(f"{root}/{MANIFEST}")
    if manifest_digest(manifest) != digest:
        raise AlteredBundleError(f"The manifest of {digest} in the store was changed; publish the bundle again.")
    signature = store.find(f"{root}/{SIGNATURE}")
    if trusted is not None:  # before a large file is fetched, or anything is interpreted but the manifest
        from inference.signature import check_signature, read_keys  # cryptography takes its time to load

        check_signature(signature, digest, Manifest.from_bytes(manifest, f"of {digest}"), read_keys(trusted))
    try:
        with whole_directory(target) as staging:
            for name in Manifest.from_bytes(manifest, f"of {digest}").files:
                if Path(name).name != name:  # the manifest is only as trustworthy as who wrote it
                    raise BundleError(
                        f"The bundle {digest} names a file {name!r} outside its folder; it is not fetched."
                    )
                store.fetch(f"{root}/{name}", staging / name)
            (staging / MANIFEST).write_bytes(manifest)
            if signature is not None:
                (staging / SIGNATURE).write_bytes(signature)
            if report:
                (staging / REPORT).write_bytes(_judgement(store, root, report))
            Bundle.open(staging, digest)
    except OSError as error:
        raise InputError(
            f"The folder {target} cannot be written ({error.strerror or error}); "
            "make room there, or choose another with --output."
        ) from error
    return Bundle.open(target, digest)


def _judgement(store: Store, root: str, report: str) -> bytes:
    data = store.read(f"{root}/reports/{_hex(report)}.json")
    if sha256_bytes(data) != _hex(report):
        raise AlteredBundleError(
            f"The report {report} in the store was changed; judge the bundle again and publish it."
        )
    return data


def _hex(digest: str) -> str:
    """Return the 64 hex digits of ``sha256:…``, which may then stand in a path."""
    algorithm, _, digits = digest.partition(":")
    if algorithm != "sha256" or len(digits) != 64 or not _HEX.issuperset(digits):
        raise InputError(f"{digest!r} is not a digest; one is written sha256: and 64 hex digits.")
    return digits
