"""The command line: each verb is one short function over one public function of the package.

Exit codes: 0 done; 2 the input cannot be used (one sentence says why and what to do); 3 done, but files were
left out and listed; 130 interrupted. Progress and messages go to standard error; `--json` prints one JSON
object on standard output.
"""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

import maskwright
from maskwright.console import Skipped, say, say_skipped
from maskwright.types import InputError, parse_colour

LEFT_OUT = 3

app = typer.Typer(
    name="maskwright",
    help="From a folder of photos to a semantic-segmentation model that you can trust.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
synth = typer.Typer(help="Draw labelled training data.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(synth, name="synth")

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output.")]
Strict = Annotated[bool, typer.Option("--strict", help="Stop at the first file that cannot be used.")]
Seed = Annotated[int, typer.Option("--seed", min=0, help="Seed of everything random.")]
Device = Annotated[str, typer.Option("--device", help="auto, cpu, cuda or mps.")]
Precision = Annotated[str, typer.Option("--precision", help="auto, fp32, bf16 or fp16.")]
Weights = Annotated[str, typer.Option("--weights", help="best or last.")]
Val = Annotated[float, typer.Option("--val", help="Share of images for validation, where the source has no splits.")]
Test = Annotated[float, typer.Option("--test", help="Share of images for the test.")]
Group = Annotated[
    str | None, typer.Option("--group", help="Regular expression on the name; images of one group stay on one side.")
]


@app.callback(invoke_without_command=True)
def root(
    *, version: Annotated[bool, typer.Option("--version", help="Print the version and end.", is_eager=True)] = False
) -> None:
    """From a folder of photos to a semantic-segmentation model that you can trust."""
    if version:
        typer.echo(maskwright.__version__)
        raise typer.Exit


@app.command()
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


@app.command()
def init(
    *,
    photos: Annotated[Path, typer.Argument(help="Folder of photos.")],
    dest: Annotated[Path, typer.Argument(help="New data set folder.")],
    classes: Annotated[str, typer.Option("--classes", help="Names, separated by commas; put background first.")],
    val: Val = 0.15,
    test: Test = 0.15,
    group: Group = None,
    seed: Seed = 0,
    strict: Strict = False,
    as_json: AsJson = False,
) -> None:
    """Photos without masks become an unlabelled data set."""
    table = maskwright.Classes.from_names(classes.split(","))
    shares = maskwright.Shares(val=val, test=test, seed=seed, group=group)
    result = maskwright.init_dataset(photos, dest, table, shares=shares, strict=strict)
    lines = [
        f"Wrote {dest}: {len(result.dataset.samples)} photos without masks.",
        f"Next: save class-id PNGs (0 = {table.names[0]}, 255 = ignore) as {dest}/masks/NAME.png with any tool, then",
        f"  maskwright train {quote(dest)}",
    ]
    finish(as_json, dataset_facts(result.dataset), result.skipped, lines)


@app.command("import")
def import_(
    *,
    format: Annotated[str, typer.Argument(help="folders, index, binary, colour or camvid.")],
    src: Annotated[Path, typer.Argument(help="Folder that holds images and masks.")],
    dest: Annotated[Path, typer.Argument(help="New data set folder.")],
    classes: Annotated[str | None, typer.Option("--classes", help="Names by id, separated by commas.")] = None,
    table: Annotated[Path | None, typer.Option("--table", help="Colours: lines of name,r,g,b, or YAML.")] = None,
    images: Annotated[Path | None, typer.Option("--images", help="Folder of images, if not found by itself.")] = None,
    masks: Annotated[Path | None, typer.Option("--masks", help="Folder of masks, if not found by itself.")] = None,
    mask_suffix: Annotated[str, typer.Option("--mask-suffix", help="What mask names have more, such as _mask.")] = "",
    ignore: Annotated[list[str] | None, typer.Option("--ignore", help="An id or colour that does not count.")] = None,
    unknown: Annotated[
        str | None, typer.Option("--unknown", help="Colours outside the table: error, ignore or nearest.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Accept a colour table found by scanning.")] = False,
    val: Val = 0.15,
    test: Test = 0.15,
    group: Group = None,
    seed: Seed = 0,
    strict: Strict = False,
    as_json: AsJson = False,
) -> None:
    """Images and masks in any known layout become a data set."""
    ids, colours = parse_ignored(ignore or [])
    options = maskwright.Options(
        names=tuple(classes.split(",")) if classes else None,
        table=table,
        images=images,
        masks=masks,
        mask_suffix=mask_suffix,
        ignore_ids=ids,
        ignore_colours=colours,
        unknown=unknown,
    )
    shares = maskwright.Shares(val=val, test=test, seed=seed, group=group)
    result = maskwright.import_dataset(
        format, src, dest, options=options, shares=shares, confirm=asker(yes), strict=strict
    )
    lines = [f"Wrote {dest}: {count_line(result.dataset)}", "Next:", f"  maskwright train {quote(dest)}"]
    finish(as_json, dataset_facts(result.dataset), result.skipped, lines)


@app.command()
def convert(
    *,
    dataset: Annotated[Path, typer.Argument(help="Data set folder.")],
    format: Annotated[str, typer.Argument(help="folders, index, binary, colour or camvid.")],
    dest: Annotated[Path, typer.Argument(help="New folder.")],
    as_json: AsJson = False,
) -> None:
    """A data set becomes images and masks in another layout."""
    maskwright.convert_dataset(dataset, format, dest)
    finish(as_json, {"out": str(dest), "format": format}, [], [f"Wrote {dest} in the {format} layout."])


@synth.command()
def raindrops(
    *,
    photos: Annotated[Path, typer.Argument(help="Folder of photos.")],
    dest: Annotated[Path, typer.Argument(help="New data set folder.")],
    per_photo: Annotated[int, typer.Option("--per-photo", min=1, help="Pictures drawn of every photo.")] = 8,
    side: Annotated[int | None, typer.Option("--side", min=32, help="Square crops of this side, pixels.")] = None,
    val: Val = 0.15,
    test: Test = 0.15,
    seed: Seed = 0,
    strict: Strict = False,
    as_json: AsJson = False,
) -> None:
    """Raindrops on the lens over your photos, with exact masks; split by photo."""
    shares = maskwright.Shares(val=val, test=test, seed=seed)
    result = maskwright.synth_raindrops(
        photos,
        dest,
        per_photo=per_photo,
        size=None if side is None else (side, side),
        seed=seed,
        shares=shares,
        strict=strict,
    )
    lines = [f"Wrote {dest}: {count_line(result.dataset)}", "Next:", f"  maskwright train {quote(dest)}"]
    finish(as_json, dataset_facts(result.dataset), result.skipped, lines)


@app.command()
def train(
    *,
    dataset: Annotated[Path | None, typer.Argument(help="Data set folder; may be left out with --resume.")] = None,
    recipe: Annotated[str, typer.Option("--recipe", help="A shipped recipe by name, or a YAML file.")] = "default",
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="New run folder; runs/NAME-RECIPE-N if left out.")
    ] = None,
    sets: Annotated[list[str] | None, typer.Option("--set", help="A recipe key, as in optim.lr=0.001.")] = None,
    size: Annotated[str | None, typer.Option("--size", help="The one dial: tiny, small or base.")] = None,
    budget: Annotated[float | None, typer.Option("--budget", help="Minutes for everything.")] = None,
    seed: Annotated[int | None, typer.Option("--seed", min=0, help="Seed of everything random.")] = None,
    workers: Annotated[int | None, typer.Option("--workers", min=0, help="Loader processes.")] = None,
    device: Annotated[str | None, typer.Option("--device", help="auto, cpu, cuda or mps.")] = None,
    resume: Annotated[Path | None, typer.Option("--resume", help="Continue this run folder.")] = None,
    strict: Strict = False,
    as_json: AsJson = False,
) -> None:
    """Train a model on a data set and write a run folder."""
    dials = {
        "size": size,
        "train.budget": budget,
        "train.seed": seed,
        "data.workers": workers,
        "train.device": device,
    }
    changes = [*(sets or []), *(f"{key}={value}" for key, value in dials.items() if value is not None)]
    if resume is not None:
        if changes or out is not None or recipe != "default":
            raise InputError("--resume continues a run as it began; leave out --recipe, --set, --out and the dials.")
        result = maskwright.resume(resume, dataset, strict=strict)
    elif dataset is None:
        raise InputError("Name a data set folder to train on, or a run to continue with --resume RUN.")
    else:
        loaded = maskwright.Recipe.load(recipe, changes)
        folder = out or free_run_folder(dataset, loaded.name)
        result = maskwright.train(dataset, loaded, out=folder, strict=strict)
    path = result.run.path
    page = maskwright.report(result.run)
    lines = [
        f"Training ended: {result.ended}.",
        f"Best validation mean IoU {result.best_score:.4f}, in epoch {result.best_epoch + 1}.",
        f"Wrote {path} and {page}",
        "Next:",
        f"  maskwright evaluate {quote(path)} --split test",
        f"  maskwright predict {quote(path)} PHOTOS -o predictions",
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


@app.command()
def evaluate(
    *,
    run: Annotated[Path, typer.Argument(help="Run folder.")],
    dataset: Annotated[Path | None, typer.Argument(help="Data set folder, if not the run's own.")] = None,
    split: Annotated[str, typer.Option("--split", help="train, val or test.")] = "test",
    batch: Annotated[int, typer.Option("--batch", min=1, help="Images at a time; changes no score.")] = 1,
    weights: Weights = "best",
    device: Device = "auto",
    precision: Precision = "auto",
    strict: Strict = False,
    as_json: AsJson = False,
) -> None:
    """Score a run on labelled images, at their original size."""
    result = maskwright.evaluate(
        run, dataset, split=split, batch=batch, weights=weights, device=device, precision=precision, strict=strict
    )
    page = maskwright.report(run)
    lines = [*score_table(result.scores), f"Wrote {run}/evaluation/{split} and {page}"]
    finish(as_json, {**result.scores, "report": str(page)}, result.skipped, lines)


@app.command()
def predict(
    *,
    run: Annotated[Path, typer.Argument(help="Run folder.")],
    images: Annotated[list[Path], typer.Argument(help="Image files or folders.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the results.")],
    probabilities: Annotated[bool, typer.Option("--probabilities", help="Also write class probabilities.")] = False,
    weights: Weights = "best",
    device: Device = "auto",
    precision: Precision = "auto",
    strict: Strict = False,
    as_json: AsJson = False,
) -> None:
    """Segment photos of any size: class ids, colours and overlays at their original size."""
    result = maskwright.predict(
        run,
        images,
        out,
        probabilities=probabilities,
        weights=weights,
        device=device,
        precision=precision,
        strict=strict,
    )
    lines = [f"Wrote {len(result.images)} predictions: {out}/ids, {out}/colour, {out}/overlay"]
    finish(as_json, {"out": str(out), "images": result.images}, result.skipped, lines)


@app.command()
def report(
    *,
    run: Annotated[Path, typer.Argument(help="Run folder.")],
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Another place for the page.")] = None,
    as_json: AsJson = False,
) -> None:
    """One self-contained HTML page about a run."""
    page = maskwright.report(run, out=out)
    finish(as_json, {"report": str(page)}, [], [f"Wrote {page}; open it in a browser."])


@app.command()
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


def main() -> None:
    """Run the command line; mistakes in the input become one sentence and exit code 2."""
    try:
        app()
    except InputError as error:
        say(f"Error: {error}")
        if "--json" in sys.argv:
            typer.echo(json.dumps({"error": str(error)}))
        sys.exit(2)
    except KeyboardInterrupt:
        say("Interrupted; nothing half-written is left.")
        sys.exit(130)


def finish(as_json: bool, facts: dict[str, Any], skipped: list[Skipped], lines: list[str], code: int = 0) -> None:
    """Say what was done, list what was left out, and end with the exit code that tells."""
    for line in lines:
        say(line)
    say_skipped(skipped)
    if as_json:
        rows = [{"file": item.file, "reason": item.reason} for item in skipped]
        typer.echo(json.dumps(facts | {"skipped": rows}, default=str))
    raise typer.Exit(code or (LEFT_OUT if skipped else 0))


def asker(yes: bool) -> Any:
    """A function that shows a found colour table and asks whether it may be used."""

    def confirm(text: str) -> bool:
        say(f"Colours found in the masks:\n{text}")
        if yes:
            return True
        if not sys.stdin.isatty():
            return False
        return typer.confirm("Use these as classes? (name them with --table instead)", err=True)

    return confirm


def parse_ignored(values: list[str]) -> tuple[tuple[int, ...], tuple[tuple[int, int, int], ...]]:
    """Ids and colours that do not count."""
    ids = tuple(int(value) for value in values if value.isdigit())
    return ids, tuple(parse_colour(value) for value in values if not value.isdigit())


def free_run_folder(dataset: Path, recipe: str) -> Path:
    """runs/DATASET-RECIPE-N with the lowest N that is free."""
    number = 1
    while (folder := Path("runs") / f"{dataset.resolve().name}-{recipe}-{number}").exists():
        number += 1
    return folder


def dataset_facts(dataset: maskwright.Dataset) -> dict[str, Any]:
    """What machines want to know of a data set."""
    return {
        "dataset": str(dataset.path),
        "images": len(dataset.samples),
        "classes": dataset.classes.names,
        "splits": split_counts(dataset),
        "fingerprint": dataset.fingerprint,
    }


def count_line(dataset: maskwright.Dataset) -> str:
    """'701 images (train 367, val 101, test 233), 11 classes: sky, building, ...'."""
    splits = ", ".join(f"{name} {count}" for name, count in split_counts(dataset).items())
    names = dataset.classes.names
    listed = ", ".join(names[:12]) + (", ..." if len(names) > 12 else "")
    return f"{len(dataset.samples)} images ({splits}), {len(names)} classes: {listed}"


def split_counts(dataset: maskwright.Dataset) -> dict[str, int]:
    """Images by split, in the usual order."""
    have = [sample.split for sample in dataset.samples]
    return {name: have.count(name) for name in ("train", "val", "test") if name in have}


def score_table(scores: dict[str, Any]) -> list[str]:
    """Lines of text: a row a class, then the means with what they are over, then the policy."""

    def cell(value: float | None) -> str:
        return "    -" if value is None or value != value else f"{value:.3f}"

    lines = [f"{'class':16} {'IoU':>6} {'Dice':>6} {'prec.':>6} {'recall':>6} {'pixels':>13}"]
    for row in scores["classes"]:
        values = " ".join(f"{cell(row[key]):>6}" for key in ("iou", "dice", "precision", "recall"))
        lines.append(f"{row['name'][:16]:16} {values} {row['pixels']:>13,}")
    lines.append(
        f"mean IoU {cell(scores['mean_iou'])} over {len(scores['classes'])} classes, {scores['images']} images"
    )
    if "mean_iou_no_background" in scores:
        lines.append(f"mean IoU {cell(scores['mean_iou_no_background'])} without background")
    lines.append(f"pixel accuracy {cell(scores['pixel_accuracy'])}")
    for name, group in scores["groups"].items():
        lines.append(f"  group {name}: mean IoU {cell(group['mean_iou'])} ({group['images']} images)")
    lines.append(f"IoU is {scores['definitions']['iou']}; {scores['definitions']['absent']}.")
    return lines


def quote(path: Path) -> str:
    """A path as a shell wants it."""
    return shlex.quote(str(path))
