"""Make the bucket `segue`: by a first write, with which whoever may administer a bucket makes it.

What reads before anybody has written would be told that there is no bucket, which Argo Workflows takes for an error.
It may be done again. The writer's keys come from the environment, as an S3 client finds them.
"""

import os

import boto3

BUCKET = "segue"


def main() -> None:
    """Write an object that says nothing."""
    store = boto3.client("s3", endpoint_url=os.environ["S3_ENDPOINT"], region_name="us-east-1")
    store.put_object(Bucket=BUCKET, Key="begun", Body=b"")


if __name__ == "__main__":
    main()
