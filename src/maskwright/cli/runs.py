"""The verbs around runs: demo, train, recipes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

import maskwright
from maskwright.cli.ablate import finish_series
from maskwright.cli.options import AsJson, Seed, Strict, finish, numbered, quote
from maskwright.console import say
from maskwright.types import InputError

ROBUST = "augment.perturb=0.5"


def demo(
    *,
    out: Annotated[Path, typer.Option("--out", "-o", help="New folder for data set, run and report.")] = Path(
        "maskwright-demo"
    ),
    seed: Seed = 0,
    as_json: AsJson = False,
) -> None:
    """The whole story on data it draws itself: data set, training, scores, predictions, report."""
    result = maskwright.demo(out, seed=seed)
    finish(as_json, result.to_dict(), [], result.story())


def train(
    *,
    dataset: Annotated[Path | None, typer.Argument(help="Data set folder; may be left out with --resume.")] = None,
    recipe: Annotated[str, typer.Option("--recipe", help="A shipped recipe by name, or a YAML file.")] = "default",
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="New run folder; runs/NAME-RECIPE-N if left out.")
    ] = None,
    sets: Annotated[list[str] | None, typer.Option("--set", help="A recipe key, as in optim.lr=0.001.")] = None,
    size: Annotated[str | None, typer.Option("--size", help="The one dial: tiny, small or base.")] = None,
    params: Annotated[str | None, typer.Option("--params", help="Parameters to reach, as in 31M.")] = None,
    gflops: Annotated[float | None, typer.Option("--gflops", help="10^9 operations an image to reach.")] = None,
    budget: Annotated[float | None, typer.Option("--budget", help="Minutes for everything.")] = None,
    seeds: Annotated[
        int | None, typer.Option("--seeds", min=1, help="So many runs with seeds one after the other; mean and spread.")
    ] = None,
    seed: Annotated[int | None, typer.Option("--seed", min=0, help="Seed of everything random.")] = None,
    workers: Annotated[int | None, typer.Option("--workers", min=0, help="Loader processes.")] = None,
    device: Annotated[str | None, typer.Option("--device", help="auto, cpu, cuda or mps.")] = None,
    devices: Annotated[
        int | None, typer.Option("--devices", min=1, help="How many of them share every batch, a process each.")
    ] = None,
    robust: Annotated[
        bool, typer.Option("--robust", help="Perturb half of the training images: sets augment.perturb=0.5.")
    ] = False,
    resume: Annotated[Path | None, typer.Option("--resume", help="Continue this run folder.")] = None,
    strict: Strict = False,
    as_json: AsJson = False,
) -> None:
    """Train a model on a data set and write a run folder."""
    dials = {
        "size": size,
        "model.params": params,
        "model.gflops": gflops,
        "train.budget": budget,
        "train.seed": seed,
        "data.workers": workers,
        "train.device": device,
        "train.devices": devices,
    }
    # A probability that is set overrides the dial's.
    sets = [ROBUST, *(sets or [])] if robust else sets or []
    changes = [*sets, *(f"{key}={value}" for key, value in dials.items() if value is not None)]
    if resume is not None:
        if changes or out is not None or recipe != "default" or seeds is not None:
            raise InputError("--resume continues a run as it began; leave out --recipe, --set, --out and the dials.")
        result = maskwright.resume(resume, dataset, strict=strict)
    elif dataset is None:
        raise InputError("Name a data set folder to train on, or a run to continue with --resume RUN.")
    else:
        loaded = maskwright.Recipe.load(recipe, changes)
        if robust:
            say(f"augment.perturb = {loaded.augment.perturb}: --robust")
        folder = out or numbered(Path("runs"), f"{dataset.resolve().name}-{loaded.name}")
        if seeds is not None:
            finish_series(maskwright.train_seeds(dataset, loaded, out=folder, seeds=seeds, strict=strict), as_json)
        result = maskwright.train(dataset, loaded, out=folder, strict=strict)
    if not result.first_process:
        raise typer.Exit
    path = result.run.path
    page = maskwright.report(result.run)
    follow = ("evaluate RUN --split test", "predict RUN PHOTOS -o predictions")
    if result.prompted:
        follow = ("clicks run:RUN DATASET", "label DATASET --prompter run:RUN")
    lines = [
        f"Training ended: {result.ended}.",
        f"Best validation mean IoU {result.best_score:.4f}, in epoch {result.best_epoch + 1}.",
        f"Wrote {path} and {page}",
        "Next:",
        *(f"  maskwright {verb.replace('RUN', quote(path))}" for verb in follow),
    ]
    if result.ended == "interrupted":
        lines.insert(-2, f"  maskwright train --resume {quote(path)}")
    facts = {
        "run": str(path),
        "ended": result.ended,
        "best_val_score": result.best_score,
        "best_epoch": result.best_epoch,
        "report": str(page),
    }
    finish(as_json, facts, result.skipped, lines, code=130 if result.ended == "interrupted" else 0)


def recipes(
    *,
    name: Annotated[str | None, typer.Argument(help="Print this recipe in full.")] = None,
    schema: Annotated[Path | None, typer.Option("--schema", help="Write the JSON schema for editors here.")] = None,
    as_json: AsJson = False,
) -> None:
    """List the shipped recipes, print one, or write the schema that editors check recipes with."""
    if schema is not None:
        maskwright.write_schema(schema)
        finish(as_json, {"schema": str(schema)}, [], [f"Wrote {schema}."])
    elif name is not None:
        loaded = maskwright.Recipe.load(name)
        finish(as_json, loaded.to_dict(), [], [loaded.to_yaml()])
    else:
        first_lines = {key: text.splitlines()[0].lstrip("# ") for key, text in maskwright.shipped_recipes().items()}
        finish(as_json, first_lines, [], [f"{key:10}  {line}" for key, line in first_lines.items()])
