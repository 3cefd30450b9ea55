"""Commits to the repository of pins: whole, on top of others', and never over anybody's work."""

import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from delivery.git import GitError
from delivery.gitops import Change, Repository

FIRST = Change({"a.yaml": b"a: 1\n"}, "First")


def git(path: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=Ana", "-c", "user.email=ana@example.org"]
    done = subprocess.run(["git", "-C", str(path), *identity, *arguments], check=True, capture_output=True, text=True)
    return done.stdout.strip()


def put(repository: Repository, path: str, data: bytes) -> str:
    return repository.change(lambda _: Change({path: data}, f"Write {path}"))


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    made = Repository(tmp_path / "repo")
    made.create(FIRST)
    return made


@pytest.fixture
def remote(tmp_path: Path, repository: Repository) -> Path:
    """A bare repository that `repository` was cloned from."""
    bare = tmp_path / "remote.git"
    git(tmp_path, "clone", "--quiet", "--bare", str(repository.path), str(bare))
    git(repository.path, "remote", "add", "origin", str(bare))
    return bare


def test_a_new_repository_is_made_without_any_git_identity(repository: Repository) -> None:
    """A bare machine has no user.name; the commit is Segue's then."""
    assert git(repository.path, "log", "--format=%an <%ae> %s") == "Segue <segue@localhost> First"
    assert git(repository.path, "symbolic-ref", "--short", "HEAD") == "main"


def test_commits_are_made_by_whom_git_knows(repository: Repository) -> None:
    """An audit should name people; the settings come before Git's own."""
    git(repository.path, "config", "user.name", "Ben")
    git(repository.path, "config", "user.email", "ben@example.org")
    put(repository, "a.yaml", b"a: 2\n")
    put(Repository(repository.path, name="Cleo", email="cleo@example.org"), "a.yaml", b"a: 3\n")
    authors = git(repository.path, "log", "-2", "--format=%an <%ae> %cn").splitlines()
    assert authors == ["Cleo <cleo@example.org> Cleo", "Ben <ben@example.org> Ben"]


def test_a_change_stands_in_commit_and_working_tree(repository: Repository) -> None:
    """Nothing is left over that Git would call a change."""
    commit = put(repository, "k8s/b.yaml", b"b: 1\n")
    assert git(repository.path, "rev-parse", "HEAD") == commit
    assert (repository.path / "k8s" / "b.yaml").read_bytes() == b"b: 1\n"
    assert git(repository.path, "status", "--porcelain") == ""
    assert repository.read(commit, "a.yaml") == b"a: 1\n"
    assert repository.read(commit, "c.yaml") is None


def test_an_existing_repository_with_no_commit_takes_the_first(tmp_path: Path) -> None:
    """Unborn history: nothing to read, and a commit without a parent to make."""
    git(tmp_path, "init", "--quiet", "--initial-branch", "trunk", "repo")
    repository = Repository(tmp_path / "repo")
    assert (repository.head(), repository.history("", "a.yaml"), repository.read("", "a.yaml")) == ("", [], None)
    commit = put(repository, "a.yaml", b"a: 1\n")
    assert git(repository.path, "log", "--format=%H", "trunk") == commit
    assert (repository.path / "a.yaml").is_file()


def test_uncommitted_work_of_others_is_left_alone(repository: Repository) -> None:
    """Staged, changed and untracked files stay so; they are not in the commit."""
    (repository.path / "staged.txt").write_text("staged")
    git(repository.path, "add", "staged.txt")
    (repository.path / "untracked.txt").write_text("untracked")
    put(repository, "b.yaml", b"b: 1\n")
    assert git(repository.path, "show", "--name-only", "--format=").split() == ["b.yaml"]
    assert git(repository.path, "status", "--porcelain").splitlines() == ["A  staged.txt", "?? untracked.txt"]


@pytest.mark.parametrize("stage", [False, True])
def test_a_file_that_somebody_changed_is_not_written_over(repository: Repository, stage: bool) -> None:
    """Neither their edit nor the history changes."""
    (repository.path / "a.yaml").write_text("a: mine\n")
    if stage:
        git(repository.path, "add", "a.yaml")
    before = repository.head()
    with pytest.raises(GitError, match=r"a\.yaml .* has changes that nobody committed"):
        put(repository, "a.yaml", b"a: 2\n")
    assert (repository.head(), (repository.path / "a.yaml").read_text()) == (before, "a: mine\n")


def test_a_bare_repository_takes_commits_too(tmp_path: Path, repository: Repository, remote: Path) -> None:
    """A server's side has no working tree."""
    commit = put(Repository(remote), "a.yaml", b"a: 2\n")
    assert git(remote, "rev-parse", "main") == commit


def test_the_repository_around_a_folder_is_not_its_own(repository: Repository) -> None:
    """The work folder stands in the checkout of the project; pins must not be committed to that."""
    inner = Repository(repository.path / "var" / "gitops")
    inner.path.mkdir(parents=True)
    outside = inner.exists
    with pytest.raises(GitError, match="no Git repository at"):
        put(inner, "a.yaml", b"")
    inner.create(FIRST)
    assert (outside, inner.exists) == (False, True)
    assert len(repository.history(repository.head(), ".")) == 1


def test_something_else_at_its_place_is_left_alone(tmp_path: Path) -> None:
    """A folder of somebody's files does not become a repository."""
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "thesis.txt").write_text("three years")
    with pytest.raises(GitError, match="not a Git repository and not empty"):
        Repository(tmp_path / "files").create(FIRST)
    assert [file.name for file in tmp_path.rglob("*")] == ["files", "thesis.txt"]


def test_settings_of_a_hook_do_not_lead_elsewhere(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Git calls hooks with GIT_DIR set; a promotion in one still goes where it was sent."""
    git(tmp_path, "init", "--quiet", "other")
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "other" / ".git"))
    commit = put(repository, "a.yaml", b"a: 2\n")
    monkeypatch.delenv("GIT_DIR")
    assert git(repository.path, "rev-parse", "HEAD") == commit


def test_changes_at_the_same_time_all_land(repository: Repository) -> None:
    """Eight writers: eight commits in a row, and nothing lost."""

    def write(number: int) -> str:
        return put(Repository(repository.path), f"{number}.yaml", b"x: 1\n")

    with ThreadPoolExecutor(8) as pool:
        commits = list(pool.map(write, range(8)))
    assert set(repository.history(repository.head(), ".")) >= set(commits)
    assert len(list(repository.path.glob("[0-9].yaml"))) == 8


def test_a_decision_is_made_again_on_a_commit_that_came_first(repository: Repository) -> None:
    """Somebody commits by hand while we decide: ours is put on top of theirs, after another look."""
    seen = []

    def decide(base: str) -> Change:
        seen.append(base)
        if len(seen) == 1:
            git(repository.path, "commit", "--quiet", "--allow-empty", "-m", "By hand")
        return Change({"a.yaml": b"a: 2\n"}, "Ours")

    commit = repository.change(decide)
    assert len(seen) == 2
    assert seen[1] == git(repository.path, "rev-parse", f"{commit}^")


def test_text_from_outside_adds_no_trailers(repository: Repository) -> None:
    """A reason with line breaks stays one value."""
    change = Change({"a.yaml": b""}, "Subject\nmore", "Body\n\nSegue-Verdict: pass", {"Segue-Reason": "x\nSegue-Y: z"})
    told = repository.describe(repository.change(lambda _: change))
    assert told["subject"] == "Subject more"
    assert {name: value for name, value in told.items() if name.startswith("Segue")} == {"Segue-Reason": "x Segue-Y: z"}


def test_a_change_is_pushed_and_others_are_pulled(tmp_path: Path, repository: Repository, remote: Path) -> None:
    """With a remote, its branch is the truth: two clones write in turn."""
    git(tmp_path, "clone", "--quiet", str(remote), "clone")
    here, there = (Repository(path, remote="origin") for path in (repository.path, tmp_path / "clone"))
    first = put(here, "a.yaml", b"a: 2\n")
    assert there.head() == first
    second = put(there, "b.yaml", b"b: 1\n")
    third = put(here, "c.yaml", b"c: 1\n")
    assert git(remote, "log", "--format=%H").splitlines()[:3] == [third, second, first]
    assert (repository.path / "b.yaml").is_file()


def test_a_rejected_push_is_tried_again_on_what_came_first(
    tmp_path: Path, repository: Repository, remote: Path
) -> None:
    """Another clone pushes while we decide."""
    git(tmp_path, "clone", "--quiet", str(remote), "clone")
    other, tries = tmp_path / "clone", 0

    def decide(_: str) -> Change:
        nonlocal tries
        tries += 1
        if tries == 1:
            git(other, "commit", "--quiet", "--allow-empty", "-m", "Quicker")
            git(other, "push", "--quiet")
        return Change({"a.yaml": b"a: 2\n"}, "Ours")

    Repository(repository.path, remote="origin").change(decide)
    assert (tries, git(remote, "log", "--format=%s").splitlines()[:2]) == (2, ["Ours", "Quicker"])


def test_a_push_that_a_hook_declines_is_not_tried_for_ever(repository: Repository, remote: Path) -> None:
    """A protected branch says why, once; nothing changes here either."""
    hook = remote / "hooks" / "pre-receive"
    hook.write_text("#!/bin/sh\necho protected branch >&2\nexit 1\n")
    hook.chmod(0o755)
    here = Repository(repository.path, remote="origin")
    before = here.head()
    with pytest.raises(GitError, match=r"could not be pushed to origin.*protected branch"):
        put(here, "a.yaml", b"a: 2\n")
    assert here.head() == before


def test_commits_that_the_remote_lacks_are_not_pushed_along(repository: Repository, remote: Path) -> None:
    """Somebody's unfinished work is theirs to push."""
    git(repository.path, "commit", "--quiet", "--allow-empty", "-m", "Mine")
    with pytest.raises(GitError, match="has commits that its remote origin lacks"):
        put(Repository(repository.path, remote="origin"), "a.yaml", b"a: 2\n")


def test_a_detached_head_is_refused(repository: Repository) -> None:
    """A commit on no branch would be lost."""
    git(repository.path, "checkout", "--quiet", "--detach")
    with pytest.raises(GitError, match="stands on no branch"):
        Repository(repository.path, remote="origin").head()
