"""What runs bring to the page: suggested masks, the order to label in, and trainings from the page."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import maskwright
from maskwright.types import InputError

if TYPE_CHECKING:
    from maskwright import BackgroundTraining, Project, PromptDesk, Proposals


class Learning:
    """The run that suggests masks, the queue that is computed, and the training in the background. Thread-safe.

    Nothing here loads a network before a run is used.
    """

    def __init__(self, project: Project, desk: PromptDesk, *, run: str | None = None) -> None:
        self._project, self._desk = project, desk
        self._lock = threading.RLock()
        self._proposals: Proposals | None = None
        self._made_for: Any = None
        self._training: BackgroundTraining | None = None
        self._taken: str | None = None
        self._queue: dict[str, Any] = {"state": "idle", "ids": project.queue() or [], "message": "", "method": ""}
        self.run: str | None = None
        if run is not None:
            self.choose(run)

    def choose(self, run: str | None) -> dict[str, Any]:
        """Take masks from another run, or from none; raises InputError for a run that cannot suggest here."""
        with self._lock:
            old = self._proposals
            self._proposals = None if run is None else self._load(run)
            self.run = run
            if old is not None:
                old.close()
            return self.about()

    def about(self) -> dict[str, Any]:
        """Name of the run that suggests, and what does not fit, for the page."""
        with self._lock:
            found = self._proposals
            return {"run": None if found is None else found.name, "message": "" if found is None else found.message}

    def _load(self, run: str) -> Proposals:
        self._made_for = self._project.classes
        return maskwright.Proposals(run, self._made_for, self._project.home / "proposals")

    def proposals(self) -> Proposals | None:
        """What suggests masks now, for the classes as they are now."""
        with self._lock:
            if self._proposals is not None and self.run is not None and self._made_for != self._project.classes:
                self._proposals.close()
                self._proposals = self._load(self.run)
            return self._proposals

    def ahead(self, ids: list[str]) -> None:
        """Let the run look at these images in the background, where they have no labels yet."""
        found = self.proposals()
        if found is not None:
            bare = [id for id in ids if self._project.record(id).status == "unlabelled"]
            found.prepare([self.photo(id) for id in bare])

    def photo(self, id: str) -> tuple[str, Callable[[], Any]]:
        """The key of a photo and how to read it."""
        return self._project.sample(id).image_hash or id, lambda: self._project.image(id)

    def queue(self, method: str | None) -> dict[str, Any]:
        """The order to label in: as it is, or computed in the background by `method`."""
        with self._lock:
            if method is not None and self._queue["state"] != "running":
                self._queue = {"state": "running", "ids": [], "message": "", "method": method}
                threading.Thread(target=self._rank, args=(method, self.run), daemon=True).start()
            return dict(self._queue)

    def _rank(self, method: str, run: str | None) -> None:
        result: dict[str, Any] = {"state": "failed", "ids": [], "message": "", "method": method}
        try:
            self._project.flush()
            count = max(1, self._project.counts()["unlabelled"])
            found = maskwright.suggest(run, self._project.path, method=method, count=count)
            result |= {"state": "ready", "ids": found.ids}
        except InputError as error:
            result["message"] = str(error)
        except Exception as error:
            result["message"] = f"Ranking the images failed ({type(error).__name__}: {error})."
            raise
        finally:
            with self._lock:
                self._queue = result

    @property
    def training(self) -> BackgroundTraining:
        """The training of this data set."""
        with self._lock:
            if self._training is None:
                self._training = maskwright.BackgroundTraining(self._project.path)
            return self._training

    def train(self, recipe: str, minutes: float | None, sets: list[str]) -> dict[str, Any]:
        """Begin a training on what is labelled so far; raises InputError where that is not possible."""
        self._project.flush()
        state: dict[str, Any] = self.training.start(recipe, minutes=minutes, sets=sets)
        return state

    def progress(self) -> dict[str, Any]:
        """How the training stands; a run that has just ended becomes the suggestion, and a prompter if it can be."""
        state: dict[str, Any] = self.training.state()
        with self._lock:
            if state["state"] == "done" and state.get("run") and state["run"] != self._taken:
                self._taken = state["run"]
                state["message"] = " ".join(filter(None, [state.get("message"), self._take(state["run"])]))
        return state

    def _take(self, run: str) -> str:
        try:
            if maskwright.Run.open(run).recipe.model.name.startswith("prompt-"):
                self._desk.add(f"run:{run}")
                return "It is among the prompters now."
            self.choose(run)
        except InputError as error:
            return str(error)
        return ""

    def curve(self) -> list[dict[str, Any]]:
        """Past trainings of this data set, from the page and from `runs/`: labelled images, score and run."""
        return [*self._project.curve(Path("runs")), *self.training.curve()]

    def close(self) -> None:
        """Stop what runs in the background."""
        with self._lock:
            if self._training is not None:
                self._training.close()
            if self._proposals is not None:
                self._proposals.close()
