"""The Git repository of the pins: read what a commit says, and add commits without losing anybody's work.

A commit is built beside the working tree, in an index of its own, and only then takes its place: at the remote by a
push that Git accepts only on top of what was read, and here by a fast-forward, which Git refuses where it would
overwrite a file that somebody changed. So whatever moment this is killed at, a change stands whole or not at all.
"""

import fcntl
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from delivery.git import Git, GitError

_ATTEMPTS = 5
_ZERO = "0" * 40
_REJECTED = ("[rejected]", "cannot lock ref", "failed to update ref")


@dataclass(frozen=True, slots=True)
class Change:
    """A commit to be made.

    Attributes:
        files: Path to its new content.
        subject: First line of the message.
        body: The paragraph below it.
        trailers: ``Name: value`` lines at its end.
    """

    files: Mapping[str, bytes]
    subject: str
    body: str = ""
    trailers: Mapping[str, str] = field(default_factory=dict)

    @property
    def message(self) -> str:
        """The commit message. A value is kept to its line, so that no text from outside adds trailers of its own."""
        lines = [f"{name}: {_line(value)}" for name, value in self.trailers.items()]
        return "\n\n".join(part for part in (_line(self.subject), _line(self.body), "\n".join(lines)) if part) + "\n"


def _line(text: str) -> str:
    return " ".join(text.split())


class Repository:
    """A Git repository, with or without commits, working tree and remote."""

    def __init__(self, path: Path, remote: str = "", name: str = "", email: str = "") -> None:
        """Name it; nothing is read yet.

        Args:
            path: Its folder, the top one.
            remote: Remote to pull from and push to, or "".
            name: Author of commits; "" for Git's own setting, else Segue.
            email: Their address; "" for Git's own setting, else segue@localhost.
        """
        self.path = path.resolve()
        self._git = Git(self.path)
        self._remote = remote
        self._name = name
        self._email = email

    @property
    def exists(self) -> bool:
        """Whether there is a repository at the path; one that the path merely stands in does not count."""
        return self.path.is_dir() and self._git.try_("rev-parse", "--git-dir")[0] == 0 and self._is_top

    @property
    def _is_top(self) -> bool:
        return self._bare or Path(self._git.text("rev-parse", "--show-toplevel")).resolve() == self.path

    @property
    def _bare(self) -> bool:
        return self._git.text("rev-parse", "--is-bare-repository") == "true"

    def create(self, first: Change) -> None:
        """Make the repository with its first commit, whole or not at all; one that exists stays as it is.

        Raises:
            GitError: Something else stands at its path.
        """
        if self.exists:
            return
        if self.path.exists() and (not self.path.is_dir() or any(self.path.iterdir())):
            raise GitError(f"{self.path} is not a Git repository and not empty; name another with SEGUE_GITOPS.")
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=self.path.parent, prefix=f".{self.path.name}.") as folder:
            made = Repository(Path(folder) / self.path.name, "", self._name, self._email)
            made.path.mkdir()
            made._git.text("init", "--quiet", "--initial-branch", "main")
            made.change(lambda _: first)
            try:
                made.path.rename(self.path)
            except OSError:  # somebody else was quicker, and theirs holds the same
                if not self.exists:
                    raise

    def head(self) -> str:
        """Return the commit that stands now, after fetching the remote's where there is one; "" in a new repository.

        Raises:
            GitError: There is no repository, or it and its remote went different ways.
        """
        self._check()
        if self._remote:
            with self._lock():
                return self._follow()
        return self._local_head()

    def read(self, commit: str, path: str) -> bytes | None:
        """Return a file as a commit has it, or None where it has none."""
        if not commit:
            return None
        code, output, complaint = self._git.try_("cat-file", "blob", f"{commit}:{path}")
        if code and "does not exist in" not in complaint and "exists on disk, but not in" not in complaint:
            raise GitError(f"The file {path} of the commit {commit} in {self.path} cannot be read: {complaint}.")
        return None if code else output

    def history(self, commit: str, *paths: str, saying: str = "", after: str = "") -> list[str]:
        """Return the commits that changed the paths, newest first.

        Args:
            commit: Up to this one.
            paths: Files and folders.
            saying: Only those with this in their message.
            after: Only those that came after this one.
        """
        if not commit:
            return []
        wanted = ("--fixed-strings", f"--grep={saying}") if saying else ()
        span = f"{after}..{commit}" if after else commit
        return self._git.text("log", "--first-parent", "--format=%H", *wanted, span, "--", *paths).split()

    def describe(self, commit: str) -> dict[str, str]:
        """Return a commit's ``author``, ``email``, ``date`` (ISO 8601), ``subject`` and its trailers by name."""
        wanted = "%an%x00%ae%x00%aI%x00%s%x00%(trailers:only,unfold)"
        told = self._git.text("show", "--no-patch", f"--format={wanted}", commit).split("\0")
        author, email, date, subject, trailers = told
        pairs = [line.partition(": ") for line in trailers.splitlines()]
        named = {"author": author, "email": email, "date": date, "subject": subject}
        return {**named, **{name: value for name, _, value in pairs}}

    def change(self, decide: Callable[[str], Change | None]) -> str:
        """Add the commit that ``decide`` returns for the commit that stands now; return the one that stands then.

        ``decide`` is asked again whenever somebody else's commit came first, so its rules always hold for what its
        commit is put on. Where it returns None nothing is done.

        Raises:
            GitError: Git refuses; nothing was changed.
        """
        self._check()
        for _ in range(_ATTEMPTS):
            with self._lock():
                base = self._follow() if self._remote else self._local_head()
                wanted = decide(base)
                if wanted is None:
                    return base
                self._check_clean(wanted)
                commit = self._build(base, wanted)
                if self._publish(base, commit):
                    return commit
        raise GitError(f"Others kept changing {self.path} meanwhile, {_ATTEMPTS} times over; call this again.")

    def _check(self) -> None:
        if not self.exists:
            raise GitError(f"There is no Git repository at {self.path}; publish first, or name one with SEGUE_GITOPS.")

    @contextmanager
    def _lock(self) -> Iterator[None]:
        """Let one process of ours at a time at the repository; others' are told apart by Git itself."""
        folder = self.path / self._git.text("rev-parse", "--git-common-dir")
        with (folder / "segue.lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def _local_head(self) -> str:
        code, output, _ = self._git.try_("rev-parse", "--verify", "--quiet", "HEAD^{commit}")
        return "" if code else output.decode().strip()

    def _branch(self) -> str:
        code, output, _ = self._git.try_("symbolic-ref", "--quiet", "HEAD")
        if code:
            raise GitError(f"The repository {self.path} stands on no branch; check one out with git switch.")
        return output.decode().strip()

    def _follow(self) -> str:
        """Fetch the remote's branch and move here to it."""
        branch = self._branch()
        listed = self._git.text("ls-remote", self._remote, branch)
        here = self._local_head()
        if not listed:
            if here:
                raise GitError(f"The remote {self._remote} of {self.path} has no {branch}; push it there first.")
            return ""
        self._git.text("fetch", "--quiet", self._remote, branch)
        there = self._git.text("rev-parse", "FETCH_HEAD")
        if here != there:
            if here and self._git.try_("merge-base", "--is-ancestor", here, there)[0]:
                raise GitError(
                    f"The repository {self.path} has commits that its remote {self._remote} lacks; "
                    "push them or drop them, then call this again."
                )
            self._advance(here, there)
        return there

    def _check_clean(self, wanted: Change) -> None:
        if self._bare:
            return
        changed = self._git.text("status", "--porcelain", "--untracked-files=all", "--", *wanted.files)
        if changed:
            raise GitError(
                f"{changed.split()[-1]} in {self.path} has changes that nobody committed; "
                "commit them, or drop them with git restore --staged --worktree, then call this again."
            )

    def _build(self, base: str, wanted: Change) -> str:
        """Return a new commit on ``base`` that nothing points to yet."""
        with tempfile.TemporaryDirectory(prefix="segue-") as folder:
            env = {"GIT_INDEX_FILE": str(Path(folder) / "index"), **self._identity()}
            if base:
                self._git.text("read-tree", base, env=env)
            for path, data in wanted.files.items():
                blob = self._git.text("hash-object", "-w", "--stdin", stdin=data)
                self._git.text("update-index", "--add", "--cacheinfo", f"100644,{blob},{path}", env=env)
            tree = self._git.text("write-tree", env=env)
            parents = ["-p", base] if base else []
            return self._git.text("commit-tree", tree, *parents, stdin=wanted.message, env=env)

    def _identity(self) -> dict[str, str]:
        name = self._name or self._setting("user.name") or "Segue"
        email = self._email or self._setting("user.email") or "segue@localhost"
        return {f"GIT_{who}_{what}": value for who in ("AUTHOR", "COMMITTER")
                for what, value in (("NAME", name), ("EMAIL", email))}  # fmt: skip

    def _setting(self, name: str) -> str:
        return self._git.try_("config", name)[1].decode().strip()

    def _publish(self, base: str, commit: str) -> bool:
        """Put a built commit in its place; return False where another came first."""
        if self._remote:
            code, _, complaint = self._git.try_("push", self._remote, f"{commit}:{self._branch()}")
            if code and any(sign in complaint for sign in _REJECTED):
                return False
            if code:
                raise GitError(f"The commit could not be pushed to {self._remote}: {complaint}.")
        return self._advance(base, commit)

    def _advance(self, base: str, commit: str) -> bool:
        """Move branch, index and working tree forward to a commit; return False if the branch moved already."""
        if self._bare:
            code, _, complaint = self._git.try_("update-ref", self._branch(), commit, base or _ZERO)
        else:
            code, _, complaint = self._git.try_("merge", "--ff-only", "--quiet", commit, env=self._identity())
        if code and self._local_head() == base:
            raise GitError(f"The repository {self.path} could not be moved to the commit {commit}: {complaint}.")
        return code == 0
