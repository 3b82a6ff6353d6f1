"""What every number of an evaluation means, in a line; docs/metrics.md says more and names the sources."""

from __future__ import annotations

from maskwright.metrics.counts import DEFINITIONS
from maskwright.types import Classes

MORE = {
    "boundary_iou": "IoU of the bands along the contours, as wide as 2 % of the image's diagonal (Cheng et al. 2021)",
    "boundary_f": "F1 of contour pixels that lie within 0.75 % of the image's diagonal of the other contour "
    "(Csurka et al. 2013)",
    "mean_boundary_iou": "mean of boundary IoU over classes that have a contour",
    "mean_boundary_f": "mean of boundary F over classes that have a contour",
    "intervals": "95 % bootstrap interval: images (or groups of them) drawn anew with replacement, counts summed, "
    "divided; none where a single image or group holds the class",
    "image_level": "each image scored alone, then the mean, the median and the lowest tenth over images; an image "
    "enters with the classes that are in its label or prediction",
    "binary": "everything but the background as one class against the background",
    "regions": "the same counts in a grid of 3 x 3 parts of the image",
    "objects": "connected parts of a class of at least 16 pixels; found (true) where half of its pixels have the class "
    "in the prediction (label); small below 32 x 32 pixels, medium below 96 x 96 (COCO)",
    "object_sizes": "share of the labelled pixels found, by the size of the object that they belong to",
    "ece": "expected calibration error: mean gap between the probability of the predicted class and how often it is "
    "right, over 15 bins (Guo et al. 2017); scores of classes each against the rest are divided by their sum first",
    "mce": "the largest such gap of a bin",
    "nll": "log loss: mean of -log of the probability of the labelled class, in nats",
    "brier": "mean over pixels of the squared distance between probabilities and label, 0 to 2 (Brier 1950)",
    "hd95_px": "95th percentile of the distances between the contours of label and prediction, in pixels; mean over "
    "the images in which both have the class, the others are counted as one-sided",
    "surface_dice": "share of contour pixels within the tolerance of the other contour (Nikolov et al. 2018)",
}


def definitions(classes: Classes, unlabelled: int | None) -> dict[str, str]:
    """The definitions as they apply; `unlabelled` is the class whose labelled pixels count nowhere."""
    known = {**MORE, **DEFINITIONS}
    if unlabelled is not None:
        name = classes.names[unlabelled]
        known["ignored"] += f", and neither are pixels labelled {name}, as the recipe's loss.background is false"
    return known
