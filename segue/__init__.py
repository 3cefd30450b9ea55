"""The few words that every room of Segue shares: tracks, catalogues, bundles, queries, metrics, errors.

Only numpy and the standard library may be imported here.
"""

import os

from segue.privacy import keep_quiet

keep_quiet(os.environ)
