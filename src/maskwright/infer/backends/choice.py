"""Which backend: the one asked for, or the fastest that is installed, proven equal, and worth its making."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from maskwright.infer.backends.core import Core, Loaded
from maskwright.infer.backends.making import PROOF_PHOTOS, can_prove, make
from maskwright.infer.backends.runtimes import BACKENDS
from maskwright.infer.backends.store import Kept, Key, find
from maskwright.infer.machine import may_have_gpu
from maskwright.run import Run
from maskwright.types import InputError, unknown_name

REMEDY = "pip install 'maskwright[export]'"
# A conversion takes this long, and its proof three passes over the photos; what it saves a photo is at least this
# share of torch's time. All three are on the careful side.
MAKING_SECONDS = 15.0
PROOF_PASSES = 3
SAVED = 0.25


def load_core(
    run: Run,
    *,
    weights: str = "best",
    device: str = "auto",
    precision: str = "auto",
    backend: str = "torch",
    photos: int = 1,
    examples: Sequence[Path] = (),
) -> Loaded:
    """The core of a run by backend name, or by 'auto' for so many photos.

    `examples` are photos to prove a new backend on where the run's data set is gone. Raises InputError where run,
    device, precision or backend cannot be used, and for a backend by name that is not equal enough.
    """
    if backend not in ("auto", "torch", *BACKENDS):
        raise unknown_name("backend", backend, ["auto", "torch", *BACKENDS])
    how = _How(weights=weights, device=device, precision=precision)
    if backend == "torch":
        return _torch(run, how, "asked for")
    if backend == "auto":
        return _automatic(run, how, photos, examples)
    return _named(run, how, backend, examples)


@dataclass(frozen=True, kw_only=True)
class _How:
    weights: str
    device: str
    precision: str


def _named(run: Run, how: _How, name: str, examples: Sequence[Path]) -> Loaded:
    backend = BACKENDS[name]
    if how.device not in ("auto", "cpu"):
        raise InputError(f"Backend '{name}' computes on the CPU, not on '{how.device}'; leave one of the two out.")
    if missing := backend.missing(to_make=False):
        raise InputError(f"Backend '{name}' needs {' and '.join(missing)}: {REMEDY}.")
    wanted = _precisions(name, how.precision)
    kept = next(filter(None, (find(run, _key(run, how.weights, name, each)) for each in wanted)), None)
    if kept is None or (not kept.proof.images and can_prove(run, examples)):
        if missing := backend.missing():
            raise InputError(f"Backend '{name}' is made with {' and '.join(missing)}: {REMEDY}.")
        kept = make(run, how.weights, backend, _key(run, how.weights, name, _usual(wanted)), examples)
    fault = kept.proof.fault(backend.tolerance)
    if fault and kept.proof.images:
        raise InputError(f"Backend '{name}' is not used for {run.path}: {fault}; take --backend torch.")
    return _loaded(kept, "asked for")


def _automatic(run: Run, how: _How, photos: int, examples: Sequence[Path]) -> Loaded:
    if how.device not in ("auto", "cpu") or (how.device == "auto" and may_have_gpu() and _is_gpu_best()):
        return _torch(run, how, "the one for GPUs")
    names = [name for name, item in BACKENDS.items() if not item.calibrated and not item.missing(to_make=False)]
    if not names:
        return _torch(run, how, f"no faster one is installed; {REMEDY}")
    names = [name for name in names if how.precision in ("auto", *BACKENDS[name].precisions)]
    if not names:
        return _torch(run, how, f"no other computes in {how.precision}")
    keys = [_key(run, how.weights, name, each) for name in names for each in _precisions(name, how.precision)]
    there = [kept for key in keys if (kept := find(run, key)) is not None and kept.proof.images]
    return _best(run, how, there) if there else _made_if_it_pays(run, how, names, photos, examples)


def _made_if_it_pays(run: Run, how: _How, names: Sequence[str], photos: int, examples: Sequence[Path]) -> Loaded:
    """Torch, or a new backend where so many photos are to come that its making is soon made good."""
    loaded = _torch(run, how, "nothing faster is ready")
    # ONNX Runtime has no bf16 on a CPU, so it is faster than torch only where torch has none either.
    able = [name for name in names if "bf16" in BACKENDS[name].precisions or loaded.precision == "fp32"]
    if not able:
        return replace(loaded, reason=_sentence(loaded, f"no faster one is installed; {REMEDY}"))
    name, fewest = able[0], PROOF_PASSES * PROOF_PHOTOS / SAVED
    pays = photos > fewest and photos * SAVED * (seconds := _seconds(loaded.core, run)) > (
        MAKING_SECONDS + PROOF_PASSES * PROOF_PHOTOS * seconds
    )
    if not pays:
        why = f"{name} is not prepared yet, which pays for many photos: --backend {name} does it now"
        return replace(loaded, reason=_sentence(loaded, why))
    if not can_prove(run, examples):
        return replace(loaded, reason=_sentence(loaded, f"there are no photos to prove {name} on"))
    key = _key(run, how.weights, name, _usual(_precisions(name, how.precision)))
    try:
        if missing := BACKENDS[name].missing():
            raise InputError(f"it is made with {' and '.join(missing)}: {REMEDY}")
        kept = make(run, how.weights, BACKENDS[name], key, examples)
    except InputError as error:
        return replace(loaded, reason=_sentence(loaded, f"{name} cannot be prepared: {str(error).rstrip('.')}"))
    return _best(run, how, [kept])


def _best(run: Run, how: _How, there: Sequence[Kept]) -> Loaded:
    """The fastest of what is ready, equal enough and faster than torch; else torch."""
    faults = [kept.proof.fault(BACKENDS[kept.proof.name].tolerance) for kept in there]
    fit = [kept for kept, fault in zip(there, faults, strict=True) if not fault and kept.proof.speed > 1]
    if fit:
        best = max(fit, key=lambda kept: kept.proof.speed)
        try:
            return _loaded(
                best, f"the fastest that is proven equal, {best.proof.speed:.1f} times as fast as torch here"
            )
        except InputError as error:  # damaged since
            return _torch(run, how, f"{best.proof.name} is not taken: {str(error).rstrip('.')}")
    return _torch(run, how, f"{there[0].proof.name} is not taken: {faults[0] or 'it is no faster than torch here'}")


def _torch(run: Run, how: _How, why: str) -> Loaded:
    from maskwright.infer.backends.torch_core import load_torch  # torch takes seconds; not every core needs it

    loaded = load_torch(run, how.weights, how.device, how.precision)
    return replace(loaded, reason=_sentence(loaded, why))


def _loaded(kept: Kept, why: str) -> Loaded:
    proof = kept.proof
    loaded = Loaded(
        core=BACKENDS[proof.name].open(kept.folder, proof.precision),
        name=proof.name,
        precision=proof.precision,
        each_class=proof.each_class,
        reason="",
    )
    return replace(loaded, reason=_sentence(loaded, f"{why}; {proof.says()}"))


def _sentence(loaded: Loaded, why: str) -> str:
    return f"Backend {loaded.name} in {loaded.precision}: {why}."


def _key(run: Run, weights: str, name: str, precision: str) -> Key:
    return Key.of(run, weights, name, precision, BACKENDS[name].runs_on)


def _precisions(name: str, wanted: str) -> Sequence[str]:
    """What a backend may compute in; raises InputError where it cannot in what is wanted."""
    have = BACKENDS[name].precisions
    if wanted == "auto":
        return have
    if wanted not in have:
        listed = " or ".join(have)
        raise InputError(f"Backend '{name}' computes in {listed}, not in {wanted}; leave --precision out.")
    return (wanted,)


def _usual(precisions: Sequence[str]) -> str:
    """The one of several precisions that this CPU is fast at."""
    if len(precisions) == 1:
        return precisions[0]
    import torch

    from maskwright.infer.device import choose_precision

    return choose_precision("auto", torch.device("cpu"))[0]


def _seconds(core: Core, run: Run) -> float:
    """Time of one canvas, the second time."""
    size_hw = run.recipe.data.size
    assert size_hw is not None, "a run's recipe is resolved"
    canvas_1HW3 = np.zeros((1, *size_hw, 3), np.uint8)
    core(canvas_1HW3)
    start = time.perf_counter()
    core(canvas_1HW3)
    return time.perf_counter() - start


def _is_gpu_best() -> bool:
    from maskwright.infer.device import choose_device

    return choose_device("auto")[0].type != "cpu"
