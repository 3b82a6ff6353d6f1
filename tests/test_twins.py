"""Near-duplicates: copies are found, strangers and empty pictures are not, and nobody is compared with everybody."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from scenes import faults

from maskwright.data.audit.look import look_at_image
from maskwright.data.audit.scan import Facts
from maskwright.data.audit.twins import Twins, clusters, near_duplicates, near_pairs, similar_codes
from maskwright.data.dataset import Dataset
from maskwright.types import Image


def facts(name: str, image: Image, digest: str = "") -> Facts:
    return Facts(id=name, image_hash=digest or name, image=look_at_image(image))


def scenes(count: int) -> list[Image]:
    return [faults.draw_scene(seed)[0] for seed in range(count)]


def jpeg(image: Image, quality: int) -> Image:
    coded = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return np.asarray(cv2.imdecode(coded, cv2.IMREAD_COLOR), np.uint8)


@pytest.mark.parametrize(
    "change",
    [
        lambda image: jpeg(image, 30),
        lambda image: cv2.resize(image, None, fx=0.4, fy=0.4, interpolation=cv2.INTER_AREA),
        lambda image: np.clip(image * 1.25 + 5.0, 0, 255).astype(np.uint8),
        lambda image: image[4:-4, 6:-6],
    ],
    ids=["re-encoded", "smaller", "brighter", "cropped"],
)
def test_copies_are_found_and_strangers_are_not(change) -> None:  # type: ignore[no-untyped-def]
    images = scenes(40)
    copies = [facts(f"copy-{i}", np.ascontiguousarray(change(image))) for i, image in enumerate(images[:10])]
    pairs = near_pairs([facts(f"scene-{i}", image) for i, image in enumerate(images)] + copies)
    assert {(pair.first, pair.second) for pair in pairs} == {(f"copy-{i}", f"scene-{i}") for i in range(10)}
    assert all(0 < pair.distance <= 0.1 for pair in pairs)


def test_equal_files_have_distance_zero() -> None:
    image = scenes(1)[0]
    (pair,) = near_pairs([facts("a", image, "same"), facts("b", image, "same")])
    assert pair == Twins(first="a", second="b", distance=0.0)
    assert near_duplicates([facts("a", image), facts("b", image)])[0].distance > 0


def test_empty_pictures_are_not_twins_unless_they_are_equal() -> None:
    rng = np.random.default_rng(0)
    sky = [np.clip(rng.normal(120 + i, 2, (60, 80, 3)), 0, 255).astype(np.uint8) for i in range(12)]
    assert near_pairs([facts(f"sky-{i}", image) for i, image in enumerate(sky)]) == []
    assert len(near_pairs([facts("a", sky[0], "same"), facts("b", sky[0], "same")])) == 1


def test_many_equal_images_are_linked_without_listing_all_pairs() -> None:
    image = scenes(1)[0]
    many = [replace(facts("x", image), id=f"n{i:04}", image_hash=f"h{i}") for i in range(2000)]
    pairs = near_pairs(many)
    assert len(pairs) < 10 * len(many)
    assert len(clusters(pairs)[0].ids) == len(many)


def test_chains_become_one_cluster_and_the_distance_is_that_of_its_weakest_link() -> None:
    links = [
        Twins(first="a", second="b", distance=0.01),
        Twins(first="b", second="c", distance=0.06),
        Twins(first="a", second="c", distance=0.09),
        Twins(first="x", second="y", distance=0.0),
    ]
    first, second = clusters(links)
    assert (first.ids, first.distance) == (("a", "b", "c"), 0.06)
    assert (second.ids, second.distance) == (("x", "y"), 0.0)


def test_the_index_finds_all_codes_within_eleven_bits() -> None:
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 2**64, 300, np.uint64, endpoint=False)
    near = codes.copy()
    for i, code in enumerate(codes):
        for bit in rng.choice(64, i % 14, replace=False):
            code ^= np.uint64(1) << np.uint64(bit)
        near[i] = code
    both = np.concatenate([codes, near])
    found = {tuple(sorted((int(a), int(b)))) for x, y in similar_codes(both) for a, b in zip(x, y, strict=True)}
    differing = np.bitwise_count(both[:, None] ^ both[None])
    want = {(int(a), int(b)) for a, b in zip(*np.nonzero(np.triu(differing <= 11, 1)), strict=True)}
    assert want == found


def test_nothing_and_one_have_no_twins() -> None:
    assert near_pairs([]) == []
    assert near_duplicates([facts("a", scenes(1)[0])]) == []
    assert near_pairs([Facts(id="broken", image_error="gone"), Facts(id="too", image_error="gone")]) == []


@pytest.mark.data
def test_neighbours_of_a_video_chain(shared_data: Path, tmp_path: Path) -> None:
    from maskwright.data.audit.scan import scan
    from maskwright.data.dataset import Sample

    paths = sorted((shared_data / "camvid" / "test").glob("Seq05VD*"))[60:90]
    rows = [
        Sample(id=path.stem, image=str(path.resolve()), height=360, width=480, image_hash=path.stem) for path in paths
    ]
    data = Dataset(path=tmp_path, classes=faults.SCENE, samples=tuple(rows), record={})
    found = near_duplicates(scan(data))
    assert found
    # Links lead to frames nearby, not to other streets.
    numbers = [[int(key[-5:]) for key in cluster.ids] for cluster in found]
    assert all(max(np.diff(sorted(chain))) <= 120 for chain in numbers)
