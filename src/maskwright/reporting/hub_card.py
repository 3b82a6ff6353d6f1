"""The model card as model hubs show it: README.md with front matter, from the same facts as the report.

Fields: huggingface.co/docs/hub/model-cards. Results are given as a `model-index`, so that a hub can list them.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import yaml

from maskwright.reporting.model_card import own_words
from maskwright.reporting.words import score_text
from maskwright.run import Run

# Identifiers of licences that hubs know; another one is 'other', with its own name.
LICENCES = re.compile(
    r"apache-2\.0|mit|isc|zlib|unlicense|wtfpl|openrail|pddl|odbl|odc-by|bsd-[23]-clause|cc0-1\.0|[al]?gpl-[23]\.[01]"
    r"|mpl-2\.0|epl-2\.0|eupl-1\.[12]|cc-by(?:-nc)?(?:-sa|-nd)?-[34]\.0"
)
TASK = "image-segmentation"
METRICS = {"mean_dice": "Mean Dice", "pixel_accuracy": "Pixel accuracy"}


def hub_card(run: Run, found: Mapping[str, Any]) -> str:
    """README.md of a run, from the `contents` of its report; Markdown with YAML before it."""
    front = yaml.safe_dump(front_matter(run, found), sort_keys=False, allow_unicode=True, width=120)
    headline = found["headline"]
    card, name = found["card"], f"{found['name']}.maskwright"
    parts = [
        f"---\n{front}---",
        f"# {plain(found['name'])}",
        f"> {' '.join(filter(None, [headline['what'], headline['number'], headline['of']]))}.",
        "\n".join(f"- **{title}:** {plain(text)}" for title, text in card["rows"].items()),
        "## Use",
        use(name, prompted=found["prompted"]),
        "## Classes and scores",
        table(run, found["evaluations"]),
        "## Limits",
        "\n".join(f"- {plain(text)}" for text in card["limits"])
        or "None of the checks of the report found one, which is no proof that there is none.",
        "## Trained on",
        trained_on(found),
        "## Files",
        "`weights/*.safetensors` (numbers only), `recipe.yaml` (what fully determines the training), `classes.yaml`, "
        "`run.yaml`, `metrics.csv` (one row an epoch), `evaluation/` (scores and counts by image), `report.html`, and "
        "`MANIFEST.json` with the SHA-256 of each, which `maskwright verify` checks.",
    ]
    return "\n\n".join(parts) + "\n"


def front_matter(run: Run, found: Mapping[str, Any]) -> dict[str, Any]:
    """What a hub reads: licence, library, task, tags, and the results as a model-index."""
    index = {"name": found["name"], "results": list(results(run, found))}
    return {
        **licence(own_words(run).get("licence")),
        "library_name": "maskwright",
        "pipeline_tag": TASK,
        "tags": ["maskwright", "semantic-segmentation", "safetensors", run.recipe.model.name],
        **({"metrics": ["mean_iou"], "model-index": [index]} if index["results"] else {}),
    }


def licence(stated: str | None) -> dict[str, str]:
    """The licence as hubs name it: 'CC BY-NC 4.0' is cc-by-nc-4.0, one that they do not know is 'other'."""
    if not stated:
        return {"license": "unknown"}
    name = slug(re.sub(r"(?i)\blicen[cs]e\b", "", stated))
    return {"license": name} if LICENCES.fullmatch(name) else {"license": "other", "license_name": name}


def results(run: Run, found: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """One entry an evaluation; without any, the validation score that chose the weights."""
    for one in found["evaluations"]:
        over = "Mean IoU" if run.recipe.background_scored else "Mean IoU without background"
        metrics = [metric("mean_iou", one["main"], over)]
        metrics += [metric(key, one.get(key), title) for key, title in METRICS.items()]
        if kept := [row for row in metrics if row["value"] is not None]:
            yield result(one["dataset_name"], one["split"], one["dataset"]["fingerprint"], kept)
    score = (found["about"].get("best") or {}).get("val_score")
    if not found["evaluations"] and score is not None:
        what = metric("mean_iou", score, "Mean IoU on the images that chose the weights")
        yield result(found["dataset"], "val", found["data"].get("fingerprint", ""), [what])


def metric(kind: str, value: float | None, title: str) -> dict[str, Any]:
    """One number of a model-index."""
    return {"type": kind, "value": None if value is None else round(float(value), 4), "name": title}


def result(dataset: str, split: str, fingerprint: str, metrics: list[dict[str, Any]]) -> dict[str, Any]:
    """One row of a model-index; the fingerprint stands for the revision of the data."""
    name = dataset or "its own data"
    about = {"name": name, "type": slug(name), "split": split, "revision": fingerprint}
    return {"task": {"type": TASK, "name": "Semantic segmentation"}, "dataset": about, "metrics": metrics}


def use(file: str, *, prompted: bool) -> str:
    """Commands and code that use the bundle, or the folder that a hub gives."""
    name = shlex.quote(file)
    verb = f"maskwright predict {name} PHOTOS -o predictions"
    load = "predictor = maskwright.Predictor.load(folder)\nmask_HW = predictor.ids(image_HW3)  # RGB uint8, any size"
    if prompted:
        verb = f"maskwright label DATASET --prompter run:{name}"
        load = 'prompter = maskwright.load_prompter(f"run:{folder}")\nprompter.set_image(image_HW3)  # RGB uint8'
    return (
        f"```\npip install maskwright\nmaskwright verify {name}\n{verb}\n```\n\n"
        f"```python\nimport maskwright\nfrom huggingface_hub import snapshot_download\n\n"
        f'folder = snapshot_download("USER/MODEL")  # or the path of {file}\n{load}\n```'
    )


def table(run: Run, evaluations: Sequence[Mapping[str, Any]]) -> str:
    """Colour, name and scores of every class in the newest evaluation of the test split, or of the newest one."""
    main = next(
        (one for one in evaluations if one["split"] == "test" and one["own_data"]), next(iter(evaluations), None)
    )
    titles = {"iou": "IoU", "dice": "Dice", "precision": "precision", "recall": "recall"} if main else {}
    rows = [["id", "class", "colour", *titles.values()], ["---"] * (3 + len(titles))]
    for item in run.classes.items:
        scores = [score_text(main["classes"][item.id][key], 3) for key in titles] if main else []
        rows.append([str(item.id), plain(item.name), f"`#{bytes(item.colour).hex()}`", *scores])
    lines = [f"| {' | '.join(row)} |" for row in rows]
    said = f"On {main['on']}." if main else "Not scored yet."
    return "\n".join([f"{said} Pixels with the id {run.classes.ignore} are ignored.\n", *lines])


def trained_on(found: Mapping[str, Any]) -> str:
    """Data set, its fingerprint, and how the training went."""
    data = found["data"]
    if not data:
        return "Not known."
    lines = [f"- **Data set:** {plain(found['dataset'])}, fingerprint `{data.get('fingerprint', '')}`"]
    lines += [f"- **{label}:** {plain(text)}" for label, text in found["facts"].items()]
    if found["environment"]:
        known = ("maskwright", "torch", "python")
        versions = [f"{key} {found['environment'][key]}" for key in known if key in found["environment"]]
        lines.append(f"- **Made with:** {', '.join(versions)}")
    return "\n".join(lines)


def slug(text: str) -> str:
    """'CC BY-NC 4.0' -> 'cc-by-nc-4.0'."""
    return re.sub(r"[^a-z0-9.]+", "-", text.lower()).strip("-.") or "unnamed"


def plain(text: str) -> str:
    """Text that Markdown leaves as it is: a class name is no table, no link and no HTML."""
    return re.sub(r"([\\`*_\[\]<>|#])", r"\\\1", str(text).replace("\n", " "))
