"""A bundle is loaded only where somebody trusted signed it; OpenSSF's own verifier is the second opinion."""

import base64
import json
import shutil
from collections.abc import Callable
from contextlib import suppress
from functools import reduce
from operator import getitem
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from model_signing import hashing, signing, verifying

from inference.signature import check_signature, fingerprint, read_keys
from segue.bundle import MANIFEST, MODEL, REPORT, SIGNATURE, Bundle
from segue.errors import AlteredBundleError, BundleError, InputError, UnknownSignerError, UnsignedBundleError
from segue.files import sha256_bytes
from tests.support.signing_keys import new_key, trust
from tests.support.tiny_bundle import write_tiny_bundle


class Signed:
    """A bundle with a signature by `model_signing`, and whom one trusts."""

    def __init__(self, home: Path, curve: ec.EllipticCurve | None = None) -> None:
        self.home = home
        self.key = new_key(home / "key.pem", curve)
        self.trusted = trust(home / "trusted", self.key)
        self.bundle = write_tiny_bundle(home / "bundle", home / "scratch")
        self.data = sign(self.key, self.bundle)

    def ours(self, data: bytes | None = None) -> str:
        """Return by whom it was signed, as a pod finds; the error says why not."""
        given = self.data if data is None else data
        return check_signature(given, self.bundle.digest, self.bundle.manifest, read_keys(self.trusted))

    def theirs(self, data: bytes) -> bool:
        """Return whether OpenSSF's verifier takes it."""
        file = self.home / "probe.sig"
        file.write_bytes(data)
        try:
            _verifier(self.trusted / "key.pem").verify(self.bundle.path, file)
        except Exception:  # it raises whatever its parts raise
            return False
        return True


def sign(key: Path, bundle: Bundle, *ignored: str) -> bytes:
    file = bundle.path.parent / f"{bundle.path.name}.sig"
    whole = hashing.Config().set_ignored_paths(paths=[REPORT, SIGNATURE, *ignored], ignore_git_paths=False)  # type: ignore[no-untyped-call]
    config = signing.Config().use_elliptic_key_signer(private_key=key).set_hashing_config(whole)  # type: ignore[no-untyped-call]
    config.sign(bundle.path, file)
    return file.read_bytes()


def _verifier(public: Path) -> verifying.Config:
    return verifying.Config().use_elliptic_key_verifier(public_key=public)  # type: ignore[no-untyped-call]


def forge(key: Path, data: bytes, change: Callable[[dict[str, Any]], object], root: str = "") -> bytes:
    """Return a signature by ``key`` over a statement that was changed first: only who holds the key can."""
    told = json.loads(data)
    statement = json.loads(base64.b64decode(told["dsseEnvelope"]["payload"]))
    change(statement)
    with suppress(KeyError, ValueError):  # a statement that adds up, as a signer who means it would write it
        digests = b"".join(bytes.fromhex(one["digest"]) for one in statement["predicate"]["resources"])
        statement["subject"][0]["digest"]["sha256"] = root or sha256_bytes(digests)
    payload, kind = json.dumps(statement).encode(), told["dsseEnvelope"]["payloadType"].encode()
    private = load_pem_private_key(key.read_bytes(), None)
    assert isinstance(private, ec.EllipticCurvePrivateKey)
    signed = private.sign(b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload), ec.ECDSA(hashes.SHA256()))
    told["dsseEnvelope"]["payload"] = base64.b64encode(payload).decode()
    told["dsseEnvelope"]["signatures"][0]["sig"] = base64.b64encode(signed).decode()
    return json.dumps(told).encode()


@pytest.fixture(scope="module")
def signed(tmp_path_factory: pytest.TempPathFactory) -> Signed:
    return Signed(tmp_path_factory.mktemp("signed"))


@pytest.mark.parametrize("curve", [ec.SECP256R1(), ec.SECP384R1(), ec.SECP521R1()], ids=lambda curve: curve.name)
def test_what_model_signing_signs_is_taken(tmp_path: Path, curve: ec.EllipticCurve) -> None:
    """With every curve that it knows; and its signer is named."""
    signed = Signed(tmp_path, curve)
    private = load_pem_private_key(signed.key.read_bytes(), None)
    assert isinstance(private, ec.EllipticCurvePrivateKey)
    assert signed.ours() == fingerprint(private.public_key())
    assert signed.theirs(signed.data)


def test_without_a_signature_there_is_none(signed: Signed) -> None:
    """The sentence says how it gets one."""
    with pytest.raises(UnsignedBundleError, match="is not signed; publish it with SEGUE_SIGNING_KEY set"):
        check_signature(None, signed.bundle.digest, signed.bundle.manifest, read_keys(signed.trusted))


def test_another_signer_is_unknown(signed: Signed, tmp_path: Path) -> None:
    """However right the signature is."""
    data = sign(new_key(tmp_path / "mallory.pem"), signed.bundle)
    with pytest.raises(UnknownSignerError, match="is not trusted here"):
        signed.ours(data)
    assert not signed.theirs(data)


def test_another_signer_under_a_trusted_name_is_found_out(signed: Signed, tmp_path: Path) -> None:
    """The name of the key is not signed, and believed by nobody."""
    told = json.loads(sign(new_key(tmp_path / "mallory.pem"), signed.bundle))
    told["verificationMaterial"] = json.loads(signed.data)["verificationMaterial"]
    with pytest.raises(AlteredBundleError, match="was altered"):
        signed.ours(json.dumps(told).encode())


def test_the_signature_of_another_bundle_is_refused(signed: Signed, tmp_path: Path) -> None:
    """By the same signer, and of a bundle that differs in its manifest alone."""
    other = write_tiny_bundle(tmp_path / "bundle", tmp_path / "scratch", seed=1)
    with pytest.raises(AlteredBundleError, match="vouches for another bundle"):
        signed.ours(sign(signed.key, other))


def test_a_signature_that_leaves_a_file_out_is_refused(signed: Signed) -> None:
    """OpenSSF's verifier takes it, since the signer says what to ignore; here it has to vouch for every byte."""
    data = sign(signed.key, signed.bundle, MODEL)
    assert signed.theirs(data)
    with pytest.raises(AlteredBundleError, match="vouches for another bundle"):
        signed.ours(data)


@pytest.mark.parametrize(
    "change",
    [
        lambda told: told.update(_type="https://in-toto.io/Statement/v0.1"),
        lambda told: told.update(predicateType="https://slsa.dev/provenance/v1"),
        lambda told: told["predicate"]["serialization"].update(method="shards"),
        lambda told: told["predicate"]["resources"].append(dict(told["predicate"]["resources"][0])),
        lambda told: told["predicate"]["resources"][0].update(algorithm="blake3"),
        lambda told: told["predicate"]["resources"][0].update(digest="no hex"),
        lambda told: told["subject"].append(told["subject"][0]),
        lambda told: told.pop("predicate"),
    ],
    ids=["type", "predicate", "shards", "twice", "algorithm", "digest", "subjects", "none"],
)
def test_a_statement_of_another_kind_is_refused(signed: Signed, change: Callable[[dict[str, Any]], object]) -> None:
    """Even by a trusted signer: what is not understood vouches for nothing."""
    signed.ours(forge(signed.key, signed.data, lambda told: None))
    with pytest.raises(AlteredBundleError):
        signed.ours(forge(signed.key, signed.data, change))


def test_a_statement_that_does_not_add_up_is_refused(signed: Signed) -> None:
    """Its own digest has to be that of the files that it names; OpenSSF's verifier asks the same."""
    data = forge(signed.key, signed.data, lambda told: None, root="0" * 64)
    assert not signed.theirs(data)
    with pytest.raises(AlteredBundleError, match="contradicts itself"):
        signed.ours(data)


@pytest.mark.parametrize("part,name", [((), "mediaType"), (("dsseEnvelope",), "payloadType")])
def test_an_envelope_of_another_kind_is_refused(signed: Signed, part: tuple[str, ...], name: str) -> None:
    """What it holds would mean something else."""
    told = json.loads(signed.data)
    reduce(getitem, part, told)[name] += "x"
    with pytest.raises(AlteredBundleError, match="it is of another kind"):
        signed.ours(json.dumps(told).encode())


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"{}", b"null", b"\xff", b"[" * 100_000, b'{"dsseEnvelope": 1}'])
def test_what_is_no_signature_is_refused(signed: Signed, data: bytes) -> None:
    """Whatever stands in its place."""
    with pytest.raises(AlteredBundleError, match="cannot be read"):
        signed.ours(data)


@given(place=st.integers(min_value=0), bit=st.integers(0, 7))
@settings(max_examples=300, deadline=None, derandomize=True)
def test_no_byte_of_a_signature_can_change_its_meaning(signed: Signed, place: int, bit: int) -> None:
    """A flipped bit is refused, or leaves key, payload and signature as they were: nobody reads what it hit."""
    changed = bytearray(signed.data)
    changed[place % len(changed)] ^= 1 << bit
    try:
        signed.ours(bytes(changed))
    except BundleError:
        return
    assert _meaning(bytes(changed)) == _meaning(signed.data)


def _meaning(data: bytes) -> tuple[object, ...]:
    told = json.loads(data)
    envelope = told["dsseEnvelope"]
    hint = told["verificationMaterial"]["publicKey"]["hint"]
    return hint, base64.b64decode(envelope["payload"]), base64.b64decode(envelope["signatures"][0]["sig"])


@pytest.mark.parametrize("name", [MODEL, MANIFEST])
def test_a_flipped_byte_of_the_bundle_is_found_by_both(signed: Signed, tmp_path: Path, name: str) -> None:
    """The signature covers the manifest, and the manifest every file."""
    path = shutil.copytree(signed.bundle.path, tmp_path / "bundle")
    data = bytearray((path / name).read_bytes())
    data[len(data) // 2] ^= 1
    (path / name).write_bytes(data)
    with pytest.raises(AlteredBundleError):
        Bundle.open(path, signed.bundle.digest)
    file = tmp_path / "model.sig"
    file.write_bytes(signed.data)
    with pytest.raises(ValueError, match="Signature mismatch"):
        _verifier(signed.trusted / "key.pem").verify(path, file)


def test_keys_can_be_rotated(signed: Signed, tmp_path: Path) -> None:
    """Old and new are trusted for a while, then the new one alone."""
    new = new_key(tmp_path / "new.pem")
    resigned = sign(new, signed.bundle)
    for trusted, taken in (((signed.key, new), (True, True)), ((new,), (False, True))):
        keys = read_keys(trust(tmp_path / "trusted", *trusted))
        for data, good in zip((signed.data, resigned), taken, strict=True):
            if good:
                check_signature(data, signed.bundle.digest, signed.bundle.manifest, keys)
            else:
                with pytest.raises(UnknownSignerError):
                    check_signature(data, signed.bundle.digest, signed.bundle.manifest, keys)


def _public(key: Any) -> bytes:
    data: bytes = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return data


@pytest.mark.parametrize(
    "content,sentence",
    [
        (b"", "holds no public key in PEM"),
        (b"-----BEGIN PUBLIC KEY-----\n-----END PUBLIC KEY-----\n", "holds no public key in PEM"),
        (_public(ed25519.Ed25519PrivateKey.generate()), "is not of the curves secp256r1, secp384r1, secp521r1"),
        (_public(ec.generate_private_key(ec.SECP256K1())), "is not of the curves"),
        (
            ec.generate_private_key(ec.SECP256R1()).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
            "holds no public key in PEM",
        ),
    ],
    ids=["empty", "hollow", "ed25519", "curve", "private"],
)
def test_whom_to_trust_is_beyond_doubt(tmp_path: Path, content: bytes, sentence: str) -> None:
    """A file that holds no key makes nobody trusted, not even the others; and no file trusts nobody."""
    with pytest.raises(InputError, match=r"holds no public key \(\*\.pem\), so nothing can be trusted"):
        read_keys(tmp_path)
    trust(tmp_path / "trusted", new_key(tmp_path / "good.pem"))
    (tmp_path / "trusted" / "odd.pem").write_bytes(content)
    with pytest.raises(InputError, match=sentence):
        read_keys(tmp_path / "trusted")
