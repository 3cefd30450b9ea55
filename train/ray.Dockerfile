# The training image with Ray, for workers of a Ray cluster and for steps that speak with one (docs/ray.md).
#   docker build -f train/ray.Dockerfile -t segue-ray .     after segue-train
ARG TRAIN=segue-train
FROM ${TRAIN}
USER root
COPY requirements/ray.txt /tmp/ray.txt
# pip is the base image's; the environment has none.
RUN PATH=/usr/local/bin:/usr/bin:/bin python3 -m pip --python /opt/segue/bin/python3 install --no-cache-dir --no-compile \
        --no-deps --require-hashes -r /tmp/ray.txt \
    && rm /tmp/ray.txt
USER 10001:10001
