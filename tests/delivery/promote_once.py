"""A process that promotes one bundle and can be killed at it: ``promote_once STORE GITOPS CACHE VERSION…``."""

import json
import sys
from pathlib import Path

from delivery.gitops import Repository
from delivery.objects import FolderObjects
from delivery.promotion import Order, promote
from delivery.registry import Entry, Evidence
from delivery.road import Road
from delivery.store import BundleStore
from tests.delivery.memory_registry import MemoryRegistry

if __name__ == "__main__":
    store, gitops, cache, entry = sys.argv[1:]
    registry = MemoryRegistry()
    registry.register(Entry(**json.loads(entry)), Evidence())
    road = Road(BundleStore(FolderObjects(Path(store))), registry, Repository(Path(gitops)), Path(cache))
    print("ready", flush=True)
    promote(road, Order("staging"))
