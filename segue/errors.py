"""Errors whose message is one full sentence: what is wrong, where, and what to do next."""


class SegueError(Exception):
    """Base of every error that Segue raises on purpose; a command line prints it without a traceback."""


class InputError(SegueError):
    """What a person or a client handed in cannot be used as it is."""


class DatasetError(SegueError):
    """A dataset is missing, incomplete or does not fit its manifest."""


class BundleError(SegueError):
    """A bundle is missing, damaged, unverifiable or of another schema, and is not loaded."""


class PromotionError(SegueError):
    """A promotion or rollback is refused; nothing has been changed."""
