"""Maskwright: from a folder of photos to a semantic-segmentation model that you can trust.

The public names below are imported on first use, so that `import maskwright` stays quick: neither torch nor
OpenCV is loaded before it is needed.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from maskwright.bundling.pack import pack
    from maskwright.bundling.verify import verify
    from maskwright.config import Recipe, shipped_recipes, write_schema
    from maskwright.data.audit.fix import fix_dataset
    from maskwright.data.audit.write import audit_dataset
    from maskwright.data.augmenting.multiply import Versions, augment_dataset, preview
    from maskwright.data.build import Built
    from maskwright.data.crops.patches import cut_patches
    from maskwright.data.crops.places import PatchPlan
    from maskwright.data.dataset import Dataset
    from maskwright.data.doors import Shares, contested, convert_dataset, import_dataset, init_dataset
    from maskwright.data.drops.raindrops import drop_style
    from maskwright.data.drops.synth import synth_raindrops
    from maskwright.data.engines import ENGINES, Ray, engine_of
    from maskwright.data.formats import FORMATS
    from maskwright.data.formats.listing import Options
    from maskwright.data.labelling.begin import begin_labelling
    from maskwright.data.labelling.project import Project
    from maskwright.data.splits.holdout import SplitRule, read_ids
    from maskwright.data.splits.resplit import SplitResult, split_dataset, undo_split
    from maskwright.infer.exporting.export import Exported, export
    from maskwright.infer.predicting.outputs.polygons import geojson_of
    from maskwright.infer.predicting.outputs.tables import areas_of
    from maskwright.infer.predicting.predict import Predicted, predict, predict_image
    from maskwright.infer.predictor import Predictor
    from maskwright.infer.segmenting.segment import How, Segmenter, parse_tiles
    from maskwright.models.budget import survey_models
    from maskwright.prompt import PROMPTERS, load_prompter
    from maskwright.prompt.clicking.clicks import clicks
    from maskwright.prompt.desk import PromptDesk
    from maskwright.reporting.audit_page import audit_page
    from maskwright.reporting.clicks_section import clicks_page
    from maskwright.reporting.compare_page import compare_page
    from maskwright.reporting.page import report
    from maskwright.run import Run
    from maskwright.scoring.comparing.compare import compare
    from maskwright.scoring.doubting.calibrate import calibrate
    from maskwright.scoring.doubting.uncertainty import uncertainty
    from maskwright.scoring.evaluating.score import evaluate
    from maskwright.scoring.stressing.stress import stress, stress_sheet
    from maskwright.scoring.suggesting.proposals import Proposals
    from maskwright.scoring.suggesting.suggest import suggest
    from maskwright.story import demo
    from maskwright.training.ablate import ablate
    from maskwright.training.background import BackgroundTraining
    from maskwright.training.fit import resume, train
    from maskwright.training.series import Series, train_seeds
    from maskwright.types import IGNORE, Classes, InputError, Prompt, Stroke

__version__ = "0.1.0"

_HOME = {
    "Classes": "types",
    "IGNORE": "types",
    "InputError": "types",
    "Dataset": "data.dataset",
    "Recipe": "config",
    "Run": "run",
    "Predictor": "infer.predictor",
    "Segmenter": "infer.segmenting.segment",
    "How": "infer.segmenting.segment",
    "parse_tiles": "infer.segmenting.segment",
    "Project": "data.labelling.project",
    "Prompt": "types",
    "Stroke": "types",
    "PromptDesk": "prompt.desk",
    "PROMPTERS": "prompt",
    "load_prompter": "prompt",
    "begin_labelling": "data.labelling.begin",
    "ENGINES": "data.engines",
    "Ray": "data.engines",
    "engine_of": "data.engines",
    "FORMATS": "data.formats",
    "Built": "data.build",
    "Options": "data.formats.listing",
    "Shares": "data.doors",
    "SplitResult": "data.splits.resplit",
    "SplitRule": "data.splits.holdout",
    "audit_page": "reporting.audit_page",
    "fix_dataset": "data.audit.fix",
    "audit_dataset": "data.audit.write",
    "calibrate": "scoring.doubting.calibrate",
    "clicks": "prompt.clicking.clicks",
    "clicks_page": "reporting.clicks_section",
    "compare": "scoring.comparing.compare",
    "compare_page": "reporting.compare_page",
    "contested": "data.doors",
    "convert_dataset": "data.doors",
    "PatchPlan": "data.crops.places",
    "cut_patches": "data.crops.patches",
    "Versions": "data.augmenting.multiply",
    "augment_dataset": "data.augmenting.multiply",
    "preview": "data.augmenting.multiply",
    "demo": "story",
    "drop_style": "data.drops.raindrops",
    "evaluate": "scoring.evaluating.score",
    "Exported": "infer.exporting.export",
    "export": "infer.exporting.export",
    "import_dataset": "data.doors",
    "init_dataset": "data.doors",
    "pack": "bundling.pack",
    "areas_of": "infer.predicting.outputs.tables",
    "geojson_of": "infer.predicting.outputs.polygons",
    "Predicted": "infer.predicting.predict",
    "predict": "infer.predicting.predict",
    "predict_image": "infer.predicting.predict",
    "read_ids": "data.splits.holdout",
    "report": "reporting.page",
    "resume": "training.fit",
    "shipped_recipes": "config",
    "split_dataset": "data.splits.resplit",
    "stress": "scoring.stressing.stress",
    "stress_sheet": "scoring.stressing.stress",
    "Proposals": "scoring.suggesting.proposals",
    "suggest": "scoring.suggesting.suggest",
    "survey_models": "models.budget",
    "synth_raindrops": "data.drops.synth",
    "train": "training.fit",
    "ablate": "training.ablate",
    "BackgroundTraining": "training.background",
    "Series": "training.series",
    "train_seeds": "training.series",
    "uncertainty": "scoring.doubting.uncertainty",
    "undo_split": "data.splits.resplit",
    "verify": "bundling.verify",
    "write_schema": "config",
}

__all__ = [
    "Classes",
    "IGNORE",
    "InputError",
    "Dataset",
    "Recipe",
    "Run",
    "Predictor",
    "Segmenter",
    "How",
    "parse_tiles",
    "Project",
    "Prompt",
    "Stroke",
    "PromptDesk",
    "PROMPTERS",
    "load_prompter",
    "begin_labelling",
    "ENGINES",
    "Ray",
    "engine_of",
    "FORMATS",
    "Built",
    "Options",
    "Shares",
    "SplitResult",
    "SplitRule",
    "audit_page",
    "fix_dataset",
    "audit_dataset",
    "calibrate",
    "clicks",
    "clicks_page",
    "compare",
    "compare_page",
    "contested",
    "convert_dataset",
    "PatchPlan",
    "cut_patches",
    "Versions",
    "augment_dataset",
    "preview",
    "demo",
    "drop_style",
    "evaluate",
    "Exported",
    "export",
    "import_dataset",
    "init_dataset",
    "pack",
    "areas_of",
    "geojson_of",
    "Predicted",
    "predict",
    "predict_image",
    "read_ids",
    "report",
    "resume",
    "shipped_recipes",
    "split_dataset",
    "stress",
    "stress_sheet",
    "Proposals",
    "suggest",
    "survey_models",
    "synth_raindrops",
    "train",
    "ablate",
    "BackgroundTraining",
    "Series",
    "train_seeds",
    "uncertainty",
    "undo_split",
    "verify",
    "write_schema",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'maskwright' has no attribute '{name}'")
    return getattr(import_module(f"maskwright.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOME])
