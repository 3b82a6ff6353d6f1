"""Is a bundle what it says, and safe to use? Everything that loading relies on, and what loading would not look at."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from maskwright.bundle import Manifest, kind_of, sha256_of
from maskwright.bundle_check import check_bundle
from maskwright.files import explained, read_json, read_yaml
from maskwright.run import Run, read_counts, read_csv
from maskwright.types import InputError


@dataclass(frozen=True, kw_only=True)
class Verified:
    """What is in a bundle that is whole; `sha256` of the file, '' for a folder; `bytes` of all members."""

    path: Path
    name: str
    version: str
    sha256: str
    bytes: int
    members: list[str]
    classes: list[str]
    model: str
    parameters: int
    fingerprint: str


def verify(path: str | Path) -> Verified:
    """Look through a bundle, or a folder with the same in it; nothing of it is executed, and nothing is left behind.

    Raises InputError, one sentence, where a member is missing, changed, no data of a run or too large, or where the
    weights do not fit the recipe or are not finite.
    """
    path = Path(path)
    if not path.exists():
        raise InputError(f"{path} does not exist; check the path.")
    if path.is_dir():
        manifest = check_bundle(path)
        return _verified(path, path, manifest, "")
    with TemporaryDirectory(prefix="maskwright-verify-") as temporary, explained(Path(temporary)):
        manifest = check_bundle(path, into=Path(temporary))
        return _verified(path, Path(temporary), manifest, sha256_of(path))


def _verified(path: Path, folder: Path, manifest: Manifest, sha256: str) -> Verified:
    try:
        run = Run.open(folder)
        parameters = check_run(run)
        check_tables(run, manifest)
    except InputError as error:
        if folder == path:
            raise
        # The folder is gone when the sentence is read.
        raise InputError(str(error).replace(f"{folder}/", f"{path}: ").replace(str(folder), str(path))) from error
    return Verified(
        path=path,
        name=manifest.name,
        version=manifest.version,
        sha256=sha256,
        bytes=sum(member.bytes for member in manifest.members.values()),
        members=sorted(manifest.members),
        classes=run.classes.names,
        model=run.recipe.model.name,
        parameters=parameters,
        fingerprint=str((run.about.get("data") or {}).get("fingerprint", "")),
    )


def check_run(run: Run) -> int:
    """The number of parameters of a run whose weights fit its recipe and are finite; raises InputError otherwise."""
    from maskwright.infer.fitting import require_fit  # torch: seconds, which a refused name need not wait for
    from maskwright.models.weights import read_state, require_finite

    count = 0
    for which in ("best", "last"):
        path = run.path / "weights" / f"{which}.safetensors"
        if which == "best" or path.is_file():
            count = require_fit(run, run.weights(which))
            require_finite(read_state(path), path)
    return count


def check_tables(run: Run, manifest: Manifest) -> None:
    """Read every table once, so that no verb meets a damaged one; raises InputError for the first."""
    run.metrics()
    for name in manifest.members:
        path, kind = run.path / name, kind_of(name)
        if kind == "yaml":
            read_yaml(path)
        elif kind == "json":
            read_json(path)
        elif kind == "csv":
            read_csv(path)
        elif kind == "counts":
            read_counts(path.parent)
