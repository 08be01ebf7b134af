"""Augmentation: RandAugment against torchvision's own kernels, seeds, channels, and
training batches alone."""

import math

import numpy as np
import pytest
import torch
from sklearn.base import clone
from skorch.dataset import ValidSplit
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional as kernels

from al_sklearn.estimators._augment import (
    RandAugment,
    crop,
    flip,
    flip_crop,
    get_augment,
)

SIGNED = {
    "shear_x",
    "shear_y",
    "translate_x",
    "translate_y",
    "rotate",
    "brightness",
    "color",
    "contrast",
    "sharpness",
}


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def framed(n, channels, side=24, seed=0):
    """Random images inside a black frame: what is uncovered is black for either way of
    padding."""
    images = torch.zeros(n, channels, side, side)
    inner = side // 4
    images[..., inner:-inner, inner:-inner] = torch.rand(
        n, channels, side - 2 * inner, side - 2 * inner, generator=generator(seed)
    )
    return images


def one(image, name, magnitude, sign):
    """One operation on one image (C, H, W), from the table of torchvision's
    RandAugment."""
    part = magnitude / 30
    height, width = image.shape[1:]
    signed = part * sign
    affine = {"angle": 0.0, "translate": [0, 0], "scale": 1.0, "shear": [0.0, 0.0]}
    if name == "identity":
        return image
    if name == "rotate":
        return kernels.rotate(
            image, signed * 30, interpolation=InterpolationMode.BILINEAR
        )
    if name.startswith(("shear", "translate")):
        first = name.endswith("x")
        if name.startswith("shear"):
            angle = math.degrees(math.atan(signed * 0.3))
            affine["shear"] = [angle, 0.0] if first else [0.0, angle]
        else:
            shift = -signed * 150 / 331 * (width if first else height)
            affine["translate"] = [shift, 0] if first else [0, shift]
        return kernels.affine(image, interpolation=InterpolationMode.BILINEAR, **affine)
    if name in ("brightness", "contrast", "sharpness", "color"):
        kernel = (
            kernels.adjust_saturation
            if name == "color"
            else getattr(kernels, f"adjust_{name}")
        )
        return kernel(image, 1 + 0.9 * signed)
    if name == "posterize":
        return kernels.posterize(image, 8 - round(part * 4))
    if name == "solarize":
        return kernels.solarize(image, 1 - part)
    return getattr(kernels, name)(image)


def by_channel(image, name, magnitude, sign):
    if image.shape[0] == 3:
        return one(image, name, magnitude, sign)
    return torch.cat(
        [one(image[c : c + 1], name, magnitude, sign) for c in range(len(image))]
    )


@pytest.mark.parametrize("channels", [1, 3, 11])
def test_rand_augment_is_its_definition_image_by_image(channels):
    images = framed(40, channels)
    augment = RandAugment(num_ops=1, magnitude=12)
    names = augment._allowed(channels)
    assert ("color" in names) == (channels == 3)
    assert len(names) == 13 + (channels == 3)
    seen = set()
    for seed in range(4):
        out = augment(images, generator(seed))
        source = generator(seed)
        drawn = torch.randint(len(names), (40,), generator=source).tolist()
        signs = (2 * torch.randint(2, (40,), generator=source) - 1).tolist()
        for image, got, i, sign in zip(images, out, drawn, signs, strict=True):
            expected = by_channel(image, names[i], 12, sign)
            # Rotations by torchvision round their matrix another way; a pixel in 8 bits
            # is 4e-3.
            torch.testing.assert_close(
                got,
                expected,
                atol=2e-4,
                rtol=0,
                msg=lambda text, i=i: f"{names[i]}: {text}",
            )
            seen.add((names[i], sign if names[i] in SIGNED else 1))
    assert len(seen) > 15


def test_images_that_are_not_square_turn_without_shear():
    images = framed(6, 1)[:, :, :, 4:-4]
    out = RandAugment(1, 30, operations=("rotate",))(images, generator())
    signs = (2 * torch.tensor([0, 1]) - 1).tolist()
    for image, got in zip(images, out, strict=True):
        gaps = [
            float((one(image, "rotate", 30, sign) - got).abs().max()) for sign in signs
        ]
        assert min(gaps) < 2e-4


def test_several_operations_follow_each_other():
    images = framed(8, 3)
    names = ("brightness", "solarize")
    out = RandAugment(3, 9, operations=names)(images, generator(5))
    source, expected = generator(5), list(images)
    for _ in range(3):
        drawn = torch.randint(2, (8,), generator=source).tolist()
        signs = (2 * torch.randint(2, (8,), generator=source) - 1).tolist()
        expected = [
            one(image, names[i], 9, sign)
            for image, i, sign in zip(expected, drawn, signs, strict=True)
        ]
    torch.testing.assert_close(out, torch.stack(expected), atol=1e-6, rtol=0)


def test_magnitude_zero_leaves_most_as_it_is():
    images = torch.rand(20, 3, 9, 9, generator=generator())
    names = tuple(
        name
        for name in RandAugment()._allowed(3)
        if name not in ("autocontrast", "equalize", "posterize")
    )
    out = RandAugment(2, 0, operations=names)(images, generator())
    torch.testing.assert_close(out, images, atol=1e-5, rtol=0)


def test_the_range_of_float_pixels():
    images = 5 + 100 * torch.rand(30, 2, 8, 8, generator=generator())
    with pytest.raises(ValueError, match=r"pixels from .* give their range"):
        RandAugment()(images, generator())
    scaled = RandAugment(value_range=(5, 105))(images, generator())
    expected = 5 + 100 * RandAugment()((images - 5) / 100, generator())
    torch.testing.assert_close(scaled, expected)
    free = RandAugment(value_range=None)
    assert set(free._allowed(3)) == {
        "identity",
        "shear_x",
        "shear_y",
        "translate_x",
        "translate_y",
        "rotate",
    }
    out = free(images, generator())
    assert out.min() >= images.min() - 1e-3
    assert out.max() <= images.max() + 1e-3
    with pytest.raises(ValueError, match="geometric operations alone"):
        RandAugment(value_range=None, operations=("equalize",))(images, generator())


def test_parameters_are_checked():
    for bad in (
        {"num_ops": 0},
        {"num_ops": 1.5},
        {"magnitude": 31},
        {"magnitude": -1},
        {"operations": ()},
    ):
        with pytest.raises(ValueError, match=next(iter(bad))):
            RandAugment(**bad)
    with pytest.raises(ValueError, match="Did you mean 'rotate'"):
        RandAugment(operations=("rotat",))
    with pytest.raises(ValueError, match="value_range"):
        RandAugment(value_range=(1, 1))
    with pytest.raises(ValueError, match="fades three channels"):
        RandAugment(operations=("color",))(torch.rand(2, 1, 8, 8), generator())
    for given, match in (
        ("flop", "Unknown augmentation"),
        ([], "empty list"),
        (["flip", 3], "Unknown augmentation 3"),
    ):
        with pytest.raises(ValueError, match=match):
            get_augment(given)
    with pytest.raises(ValueError, match="not of augment='flip'"):
        get_augment("flip", num_ops=2)
    with pytest.raises(ValueError, match="does not take augment__strength"):
        get_augment("rand_augment", strength=2)


def test_named_augmentations_and_lists():
    images = torch.rand(50, 2, 9, 9, generator=generator())
    flipped = flip(images, generator(1))
    mirrored = [torch.equal(a, b.flip(2)) for a, b in zip(flipped, images, strict=True)]
    same = [torch.equal(a, b) for a, b in zip(flipped, images, strict=True)]
    assert all(np.logical_xor(mirrored, same))
    assert 10 < sum(mirrored) < 40
    shifted = crop(images, generator(2))
    assert any(torch.equal(shifted[i][:, 1:], images[i][:, :-1]) for i in range(50))
    both = get_augment(["flip", "crop"])(images, generator(3))
    assert torch.equal(both, flip_crop(images, generator(3)))
    several = get_augment(["crop", "rand_augment"], num_ops=1, magnitude=3)
    source = generator(4)
    expected = RandAugment(1, 3)(crop(images, source), source)
    assert torch.equal(several(images, generator(4)), expected)


@pytest.mark.parametrize(
    "augment", ["rand_augment", ["flip_crop", "rand_augment"], RandAugment(3, 20)]
)
def test_training_is_repeatable_bit_for_bit(digits, quick, augment):
    X, y = digits
    net = quick(augment=augment).fit(X[:70], y[:70])
    before = torch.get_rng_state()
    torch.manual_seed(5)
    again = clone(net).fit(X[:70], y[:70])
    np.testing.assert_array_equal(
        net.predict_proba(X[:50]), again.predict_proba(X[:50])
    )
    torch.manual_seed(5)
    state = torch.get_rng_state()
    other = quick(augment=augment, random_state=1).fit(X[:70], y[:70])
    assert torch.equal(torch.get_rng_state(), state)
    torch.set_rng_state(before)
    assert not np.array_equal(net.predict_proba(X[:50]), other.predict_proba(X[:50]))


def test_uint8_and_float_images_are_augmented_alike(digits, quick):
    X, y = digits
    params = {"augment": "rand_augment", "normalize": (0.3, 0.3)}
    from_bytes = quick(**params).fit(X[:60], y[:60])
    from_floats = quick(**params).fit((X[:60] / 255).astype(np.float32), y[:60])
    np.testing.assert_allclose(
        from_bytes.predict_proba(X[:40]),
        from_floats.predict_proba((X[:40] / 255).astype(np.float32)),
        atol=1e-4,
    )


@pytest.mark.parametrize("shape", [(30, 16, 16), (30, 16, 16, 3), (30, 11, 16, 16)])
def test_any_number_of_channels_trains(quick, shape):
    rng = np.random.default_rng(0)
    X = (
        rng.random(shape, dtype=np.float32)
        if shape[1] == 11
        else rng.integers(256, size=shape).astype(np.uint8)
    )
    net = quick(augment="rand_augment", augment__num_ops=5, max_epochs=1).fit(
        X, np.arange(30) % 3
    )
    assert np.isfinite(net.predict_proba(X)).all()


def test_only_training_batches_of_training_images_are_augmented(digits, quick):
    X, y = digits
    seen = []

    def spy(images, source):
        seen.append(len(images))
        return images

    net = quick(
        augment=["rand_augment", spy],
        train_split=ValidSplit(0.2, stratified=True, random_state=0),
        swa=True,
    )
    net.fit(X[:100], y[:100])
    assert sum(seen) == 2 * 80
    net.predict_proba(X[:100])
    assert sum(seen) == 2 * 80


def test_parameters_by_prefix(digits, quick):
    X, y = digits
    net = quick(augment="rand_augment", augment__num_ops=1)
    assert net.get_params()["augment__num_ops"] == 1
    net.fit(X[:30], y[:30])
    first = net.predict_proba(X[:30])
    assert clone(net).get_params()["augment__num_ops"] == 1
    net.set_params(augment__num_ops=4, augment__magnitude=25).fit(X[:30], y[:30])
    assert not np.array_equal(first, net.predict_proba(X[:30]))
    assert net._get_augment() == RandAugment(4, 25)
    with pytest.raises(ValueError, match="must be from 0 to 30"):
        net.set_params(augment__magnitude=99).fit(X[:30], y[:30])


def test_two_operations_more_by_name():
    images = torch.rand(6, 1, 16, 16)
    inverted = RandAugment(1, 5, operations="invert")(images, generator())
    torch.testing.assert_close(inverted, 1 - images)
    whole = images.clone()
    cut = RandAugment(1, 30, operations=("cutout",))(images, generator())
    torch.testing.assert_close(images, whole)
    changed = cut != images
    assert (cut[changed] == 0.5).all()
    # 40 of 224 of 16 pixels is a side of 3; at the edge a part of it is outside.
    sizes = changed.sum((1, 2, 3)).tolist()
    assert max(sizes) == 9 and min(sizes) >= 2
    assert RandAugment(1, 0, operations=("cutout",))(images, generator()).equal(images)


def test_all_operations_beside_the_papers():
    for channels in (1, 3, 11):
        images = torch.rand(200, channels, 8, 8)
        every = RandAugment(1, 9, operations="all")
        names = every._allowed(channels)
        assert {"cutout", "invert"} <= set(names)
        assert ("color" in names) == (channels == 3)
        assert every(images, generator()).shape == images.shape
        # The paper's alone by default.
        assert not {"cutout", "invert"} & set(RandAugment()._allowed(channels))
    geometric = RandAugment(operations="all", value_range=None)._allowed(3)
    assert "invert" not in geometric and "rotate" in geometric
    with pytest.raises(ValueError, match="Unknown operation of RandAugment 'every'"):
        RandAugment(operations="every")
