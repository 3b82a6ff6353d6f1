"""Where SAM 2 is: a folder, or the Hugging Face cache; never the network unasked, and torch is not loaded to know."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from maskwright.files import read_json
from maskwright.types import InputError

# Smallest first: 'sam2' alone takes the first that is there, and would download the first.
SIZES = {size: f"facebook/sam2.1-hiera-{size}" for size in ("tiny", "small", "base-plus", "large")}
_CONFIG, _WEIGHTS = "config.json", "model.safetensors"
# The Hub's checkpoints are of the video model, which contains the image model.
_KINDS = ("sam2", "sam2_video")


def find_sam2(name_or_folder: str | Path = "", *, download: bool = False) -> Path:
    """The folder that holds SAM 2 in the layout of the transformers library.

    `name_or_folder` is such a folder, a repository of the Hugging Face Hub ('facebook/sam2.1-hiera-tiny'), a size
    ('tiny', 'small', 'base-plus', 'large'), or empty: the smallest size that is in the cache. Raises InputError, within
    a second, where transformers or the weights are missing, or the folder holds something else.
    """
    if find_spec("transformers") is None:
        raise InputError("SAM 2 needs the transformers library; run: pip install 'maskwright[sam2]'.")
    name = str(name_or_folder)
    folder = Path(name).expanduser()
    if name and folder.is_dir():
        return checked(folder)
    if _is_path(name):
        raise InputError(f"sam2:{name} is not a folder; name one that holds {_CONFIG} and {_WEIGHTS} of SAM 2.")
    wanted = [SIZES.get(name, name)] if name else list(SIZES.values())
    for repository in wanted:
        if (found := cached(repository)) is not None:
            return checked(found)
    if download:
        return checked(downloaded(wanted[0]))
    spec = f"sam2:{name}" if name else "sam2"
    raise InputError(
        f"SAM 2 ({wanted[0]}) is not in the Hugging Face cache of this machine; fetch it once with 'maskwright label "
        f"DATASET --prompter {spec} --download', or name a folder that holds it with --prompter sam2:FOLDER."
    )


def checked(folder: Path) -> Path:
    """The folder, if it holds SAM 2; else an InputError that says what it lacks."""
    if not (folder / _CONFIG).is_file():
        raise InputError(f"{folder} has no {_CONFIG}; name a folder in which transformers has saved SAM 2.")
    config = read_json(folder / _CONFIG)
    kind = config.get("model_type") if isinstance(config, dict) else None
    if kind not in _KINDS:
        raise InputError(f"{folder}/{_CONFIG} describes a model of type {kind!r}, not SAM 2; name another folder.")
    if not any(folder.glob("*.safetensors")):
        raise InputError(f"{folder} has no {_WEIGHTS}; copy SAM 2's weights there, too.")
    return folder


def cached(repository: str) -> Path | None:
    """The newest complete copy of a repository in the Hugging Face cache."""
    from huggingface_hub import constants  # a tenth of a second; its own look-up takes one and knows 'main' only

    snapshots = Path(constants.HF_HUB_CACHE) / f"models--{repository.replace('/', '--')}" / "snapshots"
    found = [path.parent for path in snapshots.glob(f"*/{_WEIGHTS}") if (path.parent / _CONFIG).is_file()]
    return max(found, key=lambda path: (path / _WEIGHTS).stat().st_mtime, default=None)


def downloaded(repository: str) -> Path:
    """A repository's configuration and weights, fetched into the Hugging Face cache."""
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(repository, allow_patterns=["*.json", _WEIGHTS]))
    except Exception as error:  # the hub, its transport and the system each raise their own types
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(
            f"{repository} could not be downloaded ({reason}); fetch it where there is a network and name its folder "
            "with --prompter sam2:FOLDER."
        ) from error


def _is_path(name: str) -> bool:
    return name.startswith((".", "/", "~")) or "\\" in name or name.count("/") > 1
