"""Prompters: what turns clicks, boxes and scribbles into masks.

A loader in the dict below gets what follows the colon of a prompter's name ('sam2:FOLDER') and whether it may
download. Importing this loads neither torch nor OpenCV: a prompter's module is imported when it is asked for.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from maskwright.bundle import is_bundle
from maskwright.prompt.prompter import Prompter
from maskwright.types import InputError, unknown_name

Loader = Callable[[str, bool], Prompter]


def _classical(argument: str, download: bool) -> Prompter:
    from maskwright.prompt.classical import Classical

    if argument:
        raise InputError(f"Prompter 'classical' takes nothing after the colon; write it without ':{argument}'.")
    return Classical()


def _sam2(argument: str, download: bool) -> Prompter:
    from maskwright.prompt.sam2_weights import find_sam2

    find_sam2(argument, download=download)  # says what is missing before torch is loaded
    from maskwright.prompt.sam2 import Sam2

    return Sam2.load(argument)


def _run(argument: str, download: bool) -> Prompter:
    if not argument:
        raise InputError("Prompter 'run' needs the folder of a run that was trained with prompts; write run:FOLDER.")
    from maskwright.run import is_run

    if not is_run(argument):
        raise InputError(
            f"{argument} is not a run folder (it has no run.yaml); train one with 'maskwright train DATASET "
            "--recipe prompt-clicks', or write sam2:FOLDER where it holds SAM 2."
        )
    from maskwright.prompt.run_prompter import RunPrompter

    return RunPrompter.load(argument)


PROMPTERS: dict[str, Loader] = {"classical": _classical, "sam2": _sam2, "run": _run}


def check_spec(spec: str) -> tuple[str, str]:
    """'sam2:FOLDER' -> ('sam2', 'FOLDER'): the prompter's name and what it loads; a run's folder or bundle will do.

    Raises InputError for an unknown name; loads nothing.
    """
    name, _, argument = spec.partition(":")
    if name in PROMPTERS:
        return name, argument
    if spec and (Path(spec).is_dir() or is_bundle(Path(spec))):
        return "run", spec
    raise unknown_name("prompter", spec, PROMPTERS)


def load_prompter(spec: str, *, download: bool = False) -> Prompter:
    """The prompter of a name: 'classical', 'sam2', 'sam2:FOLDER_OR_NAME', 'run:FOLDER', or a run's folder.

    Only with `download` may the network be asked. Raises InputError for an unknown name, and with the remedy where
    weights or packages are missing.

    >>> prompter = load_prompter("classical")             # doctest: +SKIP
    >>> prompter.set_image(image_HW3)                     # doctest: +SKIP
    >>> prompter.predict(Prompt(points_xy=((40, 30),), positive=(True,))).mask_HW  # doctest: +SKIP
    """
    name, argument = check_spec(spec)
    return PROMPTERS[name](argument, download)


def label_of(spec: str) -> str:
    """A prompter's name in words, as a page shows it: 'Classical', 'SAM 2 (large)', 'Run road'."""
    name, argument = check_spec(spec)
    words = {"classical": "Classical", "sam2": "SAM 2"}
    if name == "run":
        return f"Run {Path(argument).name}".rstrip()
    return words.get(name, name) + (f" ({Path(argument).name})" if argument else "")
