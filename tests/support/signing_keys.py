"""Keys that sign bundles, and folders of keys that are trusted."""

from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec


def new_key(file: Path, curve: ec.EllipticCurve | None = None) -> Path:
    """Write a new private key to ``file``, as openssl does, and return it."""
    key = ec.generate_private_key(curve or ec.SECP256R1())
    pem, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    file.write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain))
    return file


def trust(folder: Path, *keys: Path) -> Path:
    """Make ``folder`` hold the public halves of ``keys`` and nothing else, and return it."""
    folder.mkdir(exist_ok=True)
    for file in folder.iterdir():
        file.unlink()
    for key in keys:
        private = serialization.load_pem_private_key(key.read_bytes(), None)
        pem, public = serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        (folder / key.name).write_bytes(private.public_key().public_bytes(pem, public))
    return folder
