"""Make the bucket `segue` and its two accounts: one that reads bundles, one that writes all of the bucket.

Every step may be done again. Names and keys come from the environment.
"""

import os
from typing import Any

from minio import Minio, MinioAdmin
from minio.credentials import StaticProvider

BUCKET = "segue"
READ = {"Effect": "Allow", "Action": ["s3:GetObject"], "Resource": [f"arn:aws:s3:::{BUCKET}/store/bundles/*"]}
WRITE = [
    {"Effect": "Allow", "Action": ["s3:ListBucket", "s3:GetBucketLocation"], "Resource": [f"arn:aws:s3:::{BUCKET}"]},
    {
        "Effect": "Allow",
        "Action": ["s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload"],
        "Resource": [f"arn:aws:s3:::{BUCKET}/*"],
    },
]


def main() -> None:
    """Bring bucket, policies and accounts to what they should be."""
    given = os.environ
    root = StaticProvider(given["ROOT_USER"], given["ROOT_PASSWORD"])
    admin = MinioAdmin(endpoint=given["S3_ENDPOINT"], credentials=root, secure=False)
    store = Minio(given["S3_ENDPOINT"], given["ROOT_USER"], given["ROOT_PASSWORD"], secure=False)
    if not store.bucket_exists(BUCKET):
        store.make_bucket(BUCKET)
    _account(admin, "reader", [READ], given["READER_ACCESS_KEY"], given["READER_SECRET_KEY"])
    _account(admin, "writer", WRITE, given["WRITER_ACCESS_KEY"], given["WRITER_SECRET_KEY"])


def _account(admin: MinioAdmin, name: str, statements: list[dict[str, Any]], key: str, secret: str) -> None:
    admin.policy_add(f"segue-{name}", policy={"Version": "2012-10-17", "Statement": statements})
    admin.user_add(key, secret)
    admin.policy_set(f"segue-{name}", user=key)


if __name__ == "__main__":
    main()
