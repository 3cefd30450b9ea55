"""Where named bytes are kept: a folder, or a bucket of an S3 service. One of the two is chosen by its address."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from segue.errors import InputError, SegueError
from segue.files import whole_file, write_whole

if TYPE_CHECKING:
    from botocore.exceptions import ClientError
    from mypy_boto3_s3 import S3Client

_MISSING = {"404", "NoSuchKey", "NotFound"}


class StoreError(SegueError):
    """The object store cannot be reached, or does not hold what was asked for."""


class StoreAwayError(StoreError):
    """The object store cannot be reached, so nothing is known of what it holds."""


class Objects(Protocol):
    """The port that a bundle store stands on. An object appears whole or not at all."""

    @property
    def address(self) -> str:
        """Where this is, as the registry names it."""
        ...

    def put(self, name: str, source: Path) -> None:
        """Keep a file's bytes under ``name``, in place of earlier ones."""
        ...

    def write(self, name: str, data: bytes) -> None:
        """Keep ``data`` under ``name``, in place of earlier ones."""
        ...

    def read(self, name: str) -> bytes | None:
        """Return the bytes of ``name``, or None where there are none."""
        ...

    def fetch(self, name: str, target: Path) -> bool:
        """Copy ``name`` to the file ``target``; return False where there is none."""
        ...


class FolderObjects:
    """Objects as files of a folder."""

    def __init__(self, root: Path) -> None:
        self._root = root.absolute()

    @property
    def address(self) -> str:
        """The folder's path."""
        return str(self._root)

    def put(self, name: str, source: Path) -> None:
        """Copy beside the target and rename, so that a reader never sees half a file, and two writers share none."""
        target = self._root / name
        with _disk(self.address):
            target.parent.mkdir(parents=True, exist_ok=True)
            with source.open("rb") as data, whole_file(target) as file:
                shutil.copyfileobj(data, file)

    def write(self, name: str, data: bytes) -> None:
        """Write the file whole."""
        with _disk(self.address):
            write_whole(self._root / name, data)

    def read(self, name: str) -> bytes | None:
        """Read the file."""
        with _disk(self.address):
            try:
                return (self._root / name).read_bytes()
            except FileNotFoundError:
                return None

    def fetch(self, name: str, target: Path) -> bool:
        """Copy the file."""
        with _disk(self.address):
            if not (self._root / name).is_file():
                return False
            shutil.copyfile(self._root / name, target)
            return True


class S3Objects:
    """Objects of a bucket, under a prefix. Credentials come from boto3's own chain (``AWS_*``, profiles, roles)."""

    def __init__(self, bucket: str, prefix: str, endpoint: str = "") -> None:
        self._bucket = bucket
        self._prefix = f"{prefix.strip('/')}/" if prefix.strip("/") else ""
        self._endpoint = endpoint

    @property
    def address(self) -> str:
        """The bucket and prefix as ``s3://…``."""
        return f"s3://{self._bucket}/{self._prefix}".rstrip("/")

    @cached_property
    def _client(self) -> "S3Client":
        import boto3  # half a second that a folder does not cost
        from botocore.config import Config

        config = Config(connect_timeout=5, read_timeout=60, retries={"total_max_attempts": 3})
        with self._answers():
            return boto3.client("s3", endpoint_url=self._endpoint or None, config=config)

    def put(self, name: str, source: Path) -> None:
        """Upload the file; a large one in parts, which S3 shows only once all have come."""
        with self._answers():
            self._client.upload_file(str(source), self._bucket, self._prefix + name)

    def write(self, name: str, data: bytes) -> None:
        """Upload the bytes."""
        with self._answers():
            self._client.put_object(Bucket=self._bucket, Key=self._prefix + name, Body=data)

    def read(self, name: str) -> bytes | None:
        """Download the bytes."""
        from botocore.exceptions import ClientError

        with self._answers():
            try:
                return self._client.get_object(Bucket=self._bucket, Key=self._prefix + name)["Body"].read()
            except ClientError as error:
                _check_missing(error)
                return None

    def fetch(self, name: str, target: Path) -> bool:
        """Download to the file."""
        from botocore.exceptions import ClientError

        with self._answers():
            try:
                self._client.download_file(self._bucket, self._prefix + name, str(target))
            except ClientError as error:
                _check_missing(error)
                return False
            return True

    @contextmanager
    def _answers(self) -> Iterator[None]:
        from boto3.exceptions import Boto3Error
        from botocore.exceptions import BotoCoreError, ClientError

        where = f"{self.address} at {self._endpoint}" if self._endpoint else self.address
        try:
            yield
        except (Boto3Error, BotoCoreError, ClientError, ValueError) as error:
            raise StoreAwayError(
                f"The object store {where} does not answer as it should ({error}); "
                "check SEGUE_STORE, SEGUE_S3_ENDPOINT and the AWS credentials of the environment."
            ) from error


def _check_missing(error: "ClientError") -> None:
    """Raise an error again unless it says that there is no such object."""
    if error.response["Error"]["Code"] not in _MISSING:
        raise error


@contextmanager
def _disk(address: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StoreAwayError(
            f"The object store {address} cannot be used ({error}); check the folder that SEGUE_STORE names."
        ) from error


def open_objects(address: str, endpoint: str = "") -> Objects:
    """Return the objects at ``address``: ``s3://bucket/prefix``, or a folder.

    Raises:
        InputError: The address is of neither kind.
    """
    scheme, found, rest = address.partition("://")
    if not found:
        return FolderObjects(Path(address))
    bucket, _, prefix = rest.partition("/")
    if scheme != "s3" or not bucket:
        raise InputError(f"The object store {address!r} is neither a folder nor s3://bucket/prefix; set SEGUE_STORE.")
    return S3Objects(bucket, prefix, endpoint)
