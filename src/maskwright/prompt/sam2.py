"""Segment Anything 2 (Ravi et al., 2024) as a prompter, through the transformers library."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from maskwright.infer.device import arithmetic, choose_device, choose_precision
from maskwright.prompt.prompter import Candidates, Encoding
from maskwright.prompt.sam2_prompts import Asked, asked_of, objects_of
from maskwright.prompt.sam2_weights import find_sam2
from maskwright.prompt.soft_masks import Logits, cleaned, hold_prompt, in_order, pixel_of, soft_at, warm_up
from maskwright.types import Image, InputError, Prompt

_SURE = 10.0  # the logit of a mask that is known
_SAME = 0.99  # IoU from which a previous mask is taken for our own last answer
_LARGEST = 4  # photos beyond this many times the network's size are shrunk before its own resizing


class Sam2:
    """SAM 2, ready to be asked: `encode` runs its image encoder, `predict` its small decoder.

    `clean` is the share of a mask's area below which islands and holes in it are removed; 0 leaves them.
    Every answer has three candidates.
    """

    def __init__(self, model: Any, processor: Any, *, clean: float = 0.01, device: str = "auto") -> None:
        self.device, _ = choose_device(device)
        self.precision, _ = choose_precision("auto", self.device)
        self.model, self.processor, self.clean = model.to(self.device).eval(), processor, clean
        # Its rule of when the single mask is good enough is ours to apply: we want all four.
        self.model.mask_decoder.dynamic_multimask_via_stability = True
        self.model.mask_decoder._dynamic_multimask_via_stability = lambda masks, scores: (masks, scores)
        self.side = int(model.config.prompt_encoder_config.image_size)
        self.name, self.fingerprint = "sam2", ""
        self._features: list[Tensor] = []
        self._size_hw = (0, 0)
        self._last_Nhw: Logits | None = None

    @classmethod
    def load(
        cls, name_or_folder: str | Path = "", *, download: bool = False, clean: float = 0.01, device: str = "auto"
    ) -> Sam2:
        """Load SAM 2 from a folder, the Hugging Face cache or, with `download`, the Hub; see `find_sam2`.

        Raises InputError where the weights or the transformers library are missing, or do not fit.
        """
        folder = find_sam2(name_or_folder, download=download)
        model, processor = _loaded(folder)
        prompter = cls(model, processor, clean=clean, device=device)
        prompter.name = f"sam2:{Path(name_or_folder).name}" if str(name_or_folder) else "sam2"
        prompter.fingerprint = _fingerprint(folder, prompter.precision)
        warm_up()
        return prompter

    def encode(self, image_HW3: Image) -> Encoding:
        """The features of an image (H, W, 3), or grey (H, W, 1): three fp16 planes (8 MB at 1024 px) and `size_hw`."""
        size_hw = image_HW3.shape[:2]
        pixels = self.processor(images=_digestible(image_HW3, self.side), return_tensors="pt", **_ROWS_COLUMNS_RGB)
        with torch.inference_mode(), arithmetic(self.device, self.precision):
            features = self.model.get_image_embeddings(pixels["pixel_values"].to(self.device))
        encoding: Encoding = {f"features_{i}": part[0].half().cpu().numpy() for i, part in enumerate(features)}
        return {**encoding, "size_hw": np.array(size_hw)}

    def set_image(self, image_HW3: Image) -> None:
        """Take an image: `set_encoding(encode(image_HW3))`."""
        self.set_encoding(self.encode(image_HW3))

    def set_encoding(self, encoding: Encoding) -> None:
        """Take an image that was encoded before; raises InputError for what another prompter encoded."""
        wanted = [tuple(size) for size in self.model.backbone_feature_sizes]
        parts = [encoding.get(f"features_{i}") for i in range(len(wanted))]
        if "size_hw" not in encoding or [part is not None and part.shape[1:] for part in parts] != wanted:
            raise InputError("This encoding is not of this SAM 2; encode the image again.")
        self._features = [torch.from_numpy(part).to(self.device).float()[None] for part in parts if part is not None]
        rows, columns = encoding["size_hw"].tolist()
        self._size_hw, self._last_Nhw = (rows, columns), None

    def predict(self, prompt: Prompt) -> Candidates:
        """Three candidates for a prompt on the image that was set; several boxes are one object in several parts.

        One click may mean a part, a whole or more, and SAM 2's guess is the mask with the highest predicted IoU; after
        more than that it is its single mask, where that is stable. Raises InputError for a prompt that cannot be
        answered, and where no image is set.
        """
        if not self._features:
            raise InputError("No image is set; call set_image or set_encoding first.")
        prompt.check(self._size_hw)
        asked = asked_of(prompt, self._size_hw, self.side)
        logits_BMhw, scores_BM = self._decode(asked, self._previous(prompt))
        if not np.isfinite(logits_BMhw).all():
            raise InputError("SAM 2 answered with numbers that are none; its weights may be damaged, load them anew.")
        low_Nhw, scores_N, chosen = objects_of(logits_BMhw, scores_BM, settled=asked.settled, rule=self._rule())
        self._last_Nhw = low_Nhw
        low_hw = low_Nhw.shape[1:]
        scale = (low_hw[1] / self._size_hw[1], low_hw[0] / self._size_hw[0])
        clicks = [(pixel_of((x * scale[0], y * scale[1]), low_hw), positive) for x, y, positive in asked.clicks]
        keep, spare = ([at for at, positive in clicks if positive is which] for which in (True, False))
        soft_NHW = np.zeros((len(low_Nhw), *self._size_hw), np.uint8)
        for soft_HW, logits_hw in zip(soft_NHW, low_Nhw, strict=True):
            soft_at(cleaned(logits_hw, self.clean, keep, spare), soft_HW)
            hold_prompt(soft_HW, prompt)
        return in_order(soft_NHW, scores_N, chosen)

    def _decode(self, asked: Asked, previous_hw: Logits | None) -> tuple[Logits, NDArray[np.float32]]:
        """Logits (boxes, 4, h, w) and predicted IoU (boxes, 4) of every mask that the decoder has."""

        def tensor(array: NDArray[Any] | None) -> Tensor | None:
            return None if array is None else torch.from_numpy(array).to(self.device)[None]

        with torch.inference_mode():
            answer = self.model(
                image_embeddings=list(self._features),
                input_points=tensor(asked.points_BP2),
                input_labels=tensor(asked.labels_BP),
                input_boxes=tensor(asked.boxes_B4),
                input_masks=None if previous_hw is None else tensor(previous_hw[None]),
                multimask_output=False,
            )
        return answer.pred_masks[0].float().cpu().numpy(), answer.iou_scores[0].float().cpu().numpy()

    def _previous(self, prompt: Prompt) -> Logits | None:
        """The mask so far as the decoder wants it: our own last logits where it is them, else sure ones."""
        if prompt.previous_HW is None:
            return None
        rows, columns = self.model.prompt_encoder.mask_input_size
        mask_HW = prompt.previous_HW
        step = max(1, min(mask_HW.shape[0] // (4 * rows), mask_HW.shape[1] // (4 * columns)))  # four samples are plenty
        plane = mask_HW[step // 2 :: step, step // 2 :: step].astype(np.uint8) * 255
        small = cv2.resize(plane, (columns, rows), interpolation=cv2.INTER_AREA).astype(np.float32) / 255
        ours_Nhw: list[Logits] = [] if self._last_Nhw is None else list(self._last_Nhw)
        for last_hw in ours_Nhw:
            ours, theirs = last_hw >= 0, small >= 0.5
            if ours.shape == theirs.shape and (ours & theirs).sum() >= _SAME * max(1, (ours | theirs).sum()):
                return last_hw
        return np.asarray((2 * small - 1) * _SURE, np.float32)

    def _rule(self) -> tuple[float, float]:
        config = self.model.config.mask_decoder_config
        return config.dynamic_multimask_stability_delta, config.dynamic_multimask_stability_thresh


_ROWS_COLUMNS_RGB = {"input_data_format": "channels_last"}  # it would guess, and be wrong on a photo of 3 rows


def _digestible(image_HW3: Image, side: int) -> Image:
    """Three channels, and no more pixels than its float arithmetic has room for."""
    rows, columns = image_HW3.shape[:2]
    limit = _LARGEST * side
    if max(rows, columns) > limit:
        size = (min(columns, limit), min(rows, limit))  # it squeezes to a square anyway
        image_HW3 = np.asarray(cv2.resize(image_HW3, size, interpolation=cv2.INTER_AREA), np.uint8)
    image_HW3 = image_HW3.reshape(*image_HW3.shape[:2], -1)
    return image_HW3 if image_HW3.shape[2] == 3 else image_HW3[:, :, :1].repeat(3, axis=2)


def _loaded(folder: Path) -> tuple[Any, Any]:
    """Model and image processor, without a word on the terminal."""
    import transformers

    library: Any = transformers  # half of it is typed
    logging = library.utils.logging
    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()  # it warns that the Hub's checkpoints can do video, too
    logging.disable_progress_bar()
    try:
        model, facts = library.Sam2Model.from_pretrained(folder, local_files_only=True, output_loading_info=True)
        side = model.config.prompt_encoder_config.image_size
        described = any((folder / name).is_file() for name in ("preprocessor_config.json", "processor_config.json"))
        processor = (
            library.Sam2ImageProcessor.from_pretrained(folder, local_files_only=True)
            if described
            else library.Sam2ImageProcessor()
        )
        processor.size = {"height": side, "width": side}
    except Exception as error:  # safetensors, torch and the library each raise their own types
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise InputError(f"{folder} cannot be loaded as SAM 2 ({reason}); copy or download it again.") from error
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()
    if missing := sorted(facts["missing_keys"]):
        raise InputError(
            f"{folder} lacks {len(missing)} of SAM 2's tensors ('{missing[0]}' is one); copy or download it again."
        )
    return model, processor


def _fingerprint(folder: Path, precision: str) -> str:
    """Of all that an encoding depends on."""
    whole = hashlib.blake2b(precision.encode(), digest_size=16)
    for path in sorted([*folder.glob("*.json"), *folder.glob("*.safetensors")]):
        with path.open("rb") as file:
            whole.update(hashlib.file_digest(file, "blake2b").digest())
    return whole.hexdigest()
