"""Errors whose message is one full sentence: what is wrong, where, and what to do next."""

from http.client import HTTPException

NO_ANSWER = (OSError, HTTPException)
"""What urllib raises where nobody answers, or what is said breaks off or is no HTTP.

The last happens on one machine, too: who asks a port of the ephemeral range before anything listens there can be
connected to itself, and then hears its own request.
"""


class SegueError(Exception):
    """Base of every error that Segue raises on purpose; a command line prints it without a traceback."""


class InputError(SegueError):
    """What a person or a client handed in cannot be used as it is."""


class DatasetError(SegueError):
    """A dataset is missing, incomplete or does not fit its manifest."""


class BundleError(SegueError):
    """A bundle is not loaded: it is missing, of another schema or cannot be run, or one of the kinds below.

    Attributes:
        reason: Why, in a word that a metric can carry.
    """

    reason = "unusable"


class AlteredBundleError(BundleError):
    """Bytes of a bundle, of its report or of its signature are not those that were published."""

    reason = "altered"


class UnsignedBundleError(BundleError):
    """A bundle has no signature, where one is asked for."""

    reason = "unsigned"


class UnknownSignerError(BundleError):
    """A bundle was signed by a key that is not trusted here."""

    reason = "unknown_signer"


REFUSALS = tuple(kind.reason for kind in (UnsignedBundleError, AlteredBundleError, UnknownSignerError, BundleError))
"""Every reason why a bundle is not loaded."""


class PromotionError(SegueError):
    """A promotion or rollback is refused; nothing has been changed."""
