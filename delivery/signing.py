"""Sign a bundle as OpenSSF's model-signing does, with an elliptic-curve key: what pods ask for before they load it."""

import tempfile
from pathlib import Path

from delivery.road import Road
from inference.signature import CURVES, Keys, check_signature, fingerprint
from segue.bundle import REPORT, SIGNATURE, Bundle
from segue.errors import BundleError, InputError


class Signer:
    """A key that signs bundles."""

    def __init__(self, key: Path) -> None:
        """Read the private key, PEM without a password.

        Raises:
            InputError: The file is no such key.
        """
        self._key = key
        self._keys = _public(key)
        (self.fingerprint,) = self._keys

    def signed(self, bundle: Bundle, data: bytes | None) -> bool:
        """Return whether ``data`` is this key's signature of a bundle."""
        try:
            check_signature(data, bundle.digest, bundle.manifest, self._keys)
        except BundleError:
            return False
        return True

    def sign(self, bundle: Bundle) -> bytes:
        """Return a signature of a bundle; it was read as a pod reads it, so no pod that trusts the key refuses it."""
        from model_signing import hashing, signing  # a second of Sigstore, which who does not sign need not wait for

        whole = hashing.Config().set_ignored_paths(paths=[REPORT, SIGNATURE], ignore_git_paths=False)  # type: ignore[no-untyped-call]
        config = signing.Config().use_elliptic_key_signer(private_key=self._key).set_hashing_config(whole)  # type: ignore[no-untyped-call]
        with tempfile.TemporaryDirectory(prefix="segue-") as folder:
            file = Path(folder) / SIGNATURE
            config.sign(bundle.path, file)
            data = file.read_bytes()
        check_signature(data, bundle.digest, bundle.manifest, self._keys)
        return data


def sign_again(road: Road, digest: str, signer: Signer) -> None:
    """Sign a bundle of the store, every byte verified, in place of whoever signed it before.

    Raises:
        StoreError: The store does not hold it.
        BundleError: What it holds is not the bundle of this digest.
    """
    with tempfile.TemporaryDirectory(prefix="segue-") as folder:
        bundle = road.store.fetch(digest, Path(folder) / "bundle")
        road.store.put_signature(digest, signer.sign(bundle))


def _public(key: Path) -> Keys:
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        private = load_pem_private_key(key.read_bytes(), None)
    except (OSError, ValueError, TypeError) as error:
        raise InputError(f"The signing key {key} cannot be read ({error}); see SEGUE_SIGNING_KEY.") from error
    if not isinstance(private, ec.EllipticCurvePrivateKey) or private.curve.name not in CURVES:
        raise InputError(
            f"The signing key {key} is not of the curves {', '.join(CURVES)}; make one with: "
            "openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256"
        )
    return {fingerprint(private.public_key()): private.public_key()}
