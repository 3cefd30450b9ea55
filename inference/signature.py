"""Whether somebody trusted signed a bundle: read with `cryptography` alone what OpenSSF's model-signing writes.

That is a Sigstore bundle with a DSSE envelope (https://github.com/secure-systems-lab/dsse/blob/v1.0.2/protocol.md)
around an in-toto statement (https://github.com/in-toto/attestation/blob/main/spec/v1/statement.md) that names the
sha256 of every file of the model. Only signatures by elliptic-curve keys are read; docs/decisions/0010 tells why the
library itself does not stand here.
"""

import hashlib
import json
from base64 import b64decode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from segue.bundle import MANIFEST, Manifest
from segue.errors import AlteredBundleError, InputError, UnknownSignerError, UnsignedBundleError
from segue.files import sha256_bytes

_BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json"
_PAYLOAD = "application/vnd.in-toto+json"
_STATEMENT = "https://in-toto.io/Statement/v1"
_PREDICATE = "https://model_signing/signature/v1.0"
CURVES: Mapping[str, Callable[[], hashes.HashAlgorithm]] = {
    "secp256r1": hashes.SHA256,
    "secp384r1": hashes.SHA384,
    "secp521r1": hashes.SHA512,
}
"""The curves that model-signing takes, each with its hash."""

Keys = Mapping[str, ec.EllipticCurvePublicKey]
"""Public keys by their fingerprints, as a signature names its key."""


def fingerprint(key: ec.EllipticCurvePublicKey) -> str:
    """Return the sha256 of a public key's PEM form as 64 hex digits."""
    return sha256_bytes(key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo))


def read_keys(folder: Path) -> Keys:
    """Return the public keys of a folder's files ``*.pem``, one key a file.

    They are read anew for every bundle, so that a rotation needs no restart.

    Raises:
        InputError: There is none, or a file holds something else: whom to trust has to be beyond doubt.
    """
    keys = [_read_key(file) for file in sorted(folder.glob("*.pem"))]
    if not keys:
        raise InputError(
            f"The folder {folder} holds no public key (*.pem), so nothing can be trusted; see SEGUE_TRUSTED_KEYS."
        )
    return {fingerprint(key): key for key in keys}


def _read_key(file: Path) -> ec.EllipticCurvePublicKey:
    try:
        key = serialization.load_pem_public_key(file.read_bytes())
    except (OSError, ValueError) as error:
        raise InputError(f"The file {file} holds no public key in PEM; see SEGUE_TRUSTED_KEYS.") from error
    if not isinstance(key, ec.EllipticCurvePublicKey) or key.curve.name not in CURVES:
        raise InputError(f"The key {file} is not of the curves {', '.join(CURVES)}; see SEGUE_TRUSTED_KEYS.")
    return key


def check_signature(data: bytes | None, digest: str, manifest: Manifest, keys: Keys) -> str:
    """Raise unless one of ``keys`` signed this very bundle; return the fingerprint of the one that did.

    Args:
        data: The signature's file; None where there is none.
        digest: The bundle, ``sha256:…``, which its manifest was held to.
        manifest: That manifest. Whether the files are as it says is for `Bundle.open` to tell.
        keys: Whom to trust.

    Raises:
        UnsignedBundleError: There is no signature.
        UnknownSignerError: The signature is by a key that is not among ``keys``.
        AlteredBundleError: The signature does not hold, or vouches for something else.
    """
    if data is None:
        raise UnsignedBundleError(f"The bundle {digest} is not signed; publish it with SEGUE_SIGNING_KEY set.")
    try:
        signature = _Signature.parse(data)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise AlteredBundleError(f"The signature of {digest} cannot be read ({error!r}); publish it again.") from error
    key = keys.get(signature.hint)
    if key is None:
        raise UnknownSignerError(
            f"The bundle {digest} was signed by the key {signature.hint[:64]!r}, which is not trusted here; "
            "add its public key to SEGUE_TRUSTED_KEYS, or sign the bundle with a key that is."
        )
    if not signature.holds(key):
        raise AlteredBundleError(f"The signature of {digest} was altered; publish the bundle again.")
    files = {name: entry["sha256"] for name, entry in manifest.files.items()}
    if _signed_files(signature.payload, digest) != {**files, MANIFEST: digest.removeprefix("sha256:")}:
        raise AlteredBundleError(f"The signature of {digest} vouches for another bundle; publish the bundle again.")
    return signature.hint


@dataclass(frozen=True, slots=True)
class _Signature:
    """What a signature's file holds; nothing of it is trusted yet."""

    hint: str
    payload: bytes
    signed: bytes

    @classmethod
    def parse(cls, data: bytes) -> "_Signature":
        told = json.loads(data)
        envelope = told["dsseEnvelope"]
        if (told["mediaType"], envelope["payloadType"]) != (_BUNDLE, _PAYLOAD):
            raise ValueError("it is of another kind")
        (one,) = envelope["signatures"]
        hint, payload = str(told["verificationMaterial"]["publicKey"]["hint"]), envelope["payload"]
        return cls(hint, b64decode(payload, validate=True), b64decode(one["sig"], validate=True))

    def holds(self, key: ec.EllipticCurvePublicKey) -> bool:
        """Return whether ``key`` signed the payload: DSSE signs its kind and lengths, too (PAE)."""
        framed = b"DSSEv1 %d %s %d %s" % (len(_PAYLOAD), _PAYLOAD.encode(), len(self.payload), self.payload)
        try:
            key.verify(self.signed, framed, ec.ECDSA(CURVES[key.curve.name]()))
        except InvalidSignature:
            return False
        return True


def _signed_files(payload: bytes, digest: str) -> dict[str, str]:
    """Return the sha256 of every file that a statement vouches for; its signature held, so its signer wrote it."""
    try:
        statement: dict[str, Any] = json.loads(payload)
        kind = statement["_type"], statement["predicateType"], statement["predicate"]["serialization"]["method"]
        if kind != (_STATEMENT, _PREDICATE, "files"):
            raise ValueError("it is of another kind")
        listed = [(one["name"], one["algorithm"], one["digest"]) for one in statement["predicate"]["resources"]]
        root = hashlib.sha256(b"".join(bytes.fromhex(hexed) for _, _, hexed in listed)).hexdigest()
        (subject,) = statement["subject"]
        files = {name: hexed for name, algorithm, hexed in listed if algorithm == "sha256"}
        if len(files) != len(listed) or subject["digest"]["sha256"] != root:
            raise ValueError("it contradicts itself")
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise AlteredBundleError(f"What the signer of {digest} signed cannot be read ({error!r}).") from error
    return files
