"""Write a bucket as a tar to standard output, or put the objects of one back: `save BUCKET`, `restore BUCKET`."""

import os
import shutil
import sys
import tarfile
import tempfile

import boto3

verb, bucket = sys.argv[1:]
store = boto3.client("s3", endpoint_url=os.environ["MLFLOW_S3_ENDPOINT_URL"])
if verb == "save":
    with tarfile.open(fileobj=sys.stdout.buffer, mode="w|") as tar:
        for page in store.get_paginator("list_objects_v2").paginate(Bucket=bucket):
            for found in page.get("Contents", []):
                entry = tarfile.TarInfo(found["Key"])
                entry.size = found["Size"]
                tar.addfile(entry, store.get_object(Bucket=bucket, Key=found["Key"])["Body"])
else:
    with tarfile.open(fileobj=sys.stdin.buffer, mode="r|") as tar:
        for entry in tar:
            content = tar.extractfile(entry)
            if content:
                # A stream cannot be read twice, and an upload that is tried again has to.
                with tempfile.TemporaryFile() as kept:
                    shutil.copyfileobj(content, kept)
                    kept.seek(0)
                    store.upload_fileobj(kept, bucket, entry.name)
