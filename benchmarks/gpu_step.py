"""What a training step of MT-Net at full width costs on this GPU, and how many epochs fit into a time.

Prints, for MNIST (28 x 28 grey) and CIFAR (32 x 32 colour), measured in one run:

- images per second of the whole step (both losses of the joint phase with their heads, backward, optimiser): as the
  baseline runs it without a preset, then with bf16, channels-last, space-to-batch and torch.compile added one by one;
- the ratio to the first row, and the share of what a large bf16 matrix product reaches on this device;
- images per second by batch size, for the fastest of these rows that is not compiled;
- the epochs of 55,000 MNIST and 45,000 CIFAR images that fit into `--minutes`, with a validation of 5,000 images after
  each and the generation of 10,000 outputs at the end.

Floating-point operations are counted, not estimated. Random pixels and clips: a step costs the same for any.

Run: ``python benchmarks/gpu_step.py [--minutes 10] [--batch 64] [--seconds 3] [--no-compile]``: about 90 s on a GPU,
most of it for compiling. ``--tiny`` (a machine without a GPU always): a narrow network, to see that everything runs.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from xmbench import content
from xmbench.baselines.mtnet import Config, MTNet, generation_loss, representation_loss
from xmbench.errors import PrerequisiteError
from xmbench.formats.baseline import Baseline
from xmbench.formats.document import load_toml
from xmbench.formats.recipe import Recipe
from xmbench.interfaces import Task
from xmbench.networks.images import standardise
from xmbench.networks.initial import truncated_normal
from xmbench.training import Optimiser, autocast, computing, describe_device, place, resolve_device, seed_everything
from xmbench.training.device import processor_threads
from xmbench.training.optimisers import make_optimiser

SETS = {"MNIST": ("mnist-ad", 55_000), "CIFAR": ("cifar10-ad", 45_000)}
HELD_OUT, GENERATED = 5_000, 10_000
FORWARD = 1 / 3  # of a training step: the backward pass costs twice the forward pass
TINY = {
    "widths": (4, 8),
    "strides": (1, 1),
    "autoencoder_widths": (32, 16, 64, 16, 32),
    "code_shape": (8, 8),
    "generator_hidden": 32,
}
BATCHES = (32, 64, 128, 256, 512)
WARM_UP = 3


@dataclass(frozen=True)
class Way:
    """How a step is computed; each attribute is one of the switches that are compared."""

    name: str
    bf16: bool = False
    channels_last: bool = False
    space_to_batch: bool = False
    compiled: bool = False


WAYS = (
    Way("fp32, eager"),
    Way("bf16", bf16=True),
    Way("+ channels-last", bf16=True, channels_last=True),
    Way("+ space-to-batch", bf16=True, channels_last=True, space_to_batch=True),
    Way("+ torch.compile", bf16=True, channels_last=True, space_to_batch=True, compiled=True),
)


@dataclass(frozen=True)
class Place:
    """Where and how long is measured: a device, seconds for each row, and whether the network is the narrow one."""

    device: str
    seconds: float
    tiny: bool


# ------------------------------------------------------------------------------------------------ the step
def config_of(tiny: bool) -> Config:
    """The paper's network, or a narrow one of the same kind."""
    shipped = load_toml(content.find("baselines", "mtnet"), Baseline).configured(None, {})
    known = {key: value for key, value in shipped.items() if key in Config.model_fields}
    return Config(**(known | TINY if tiny else known))


def has_space_to_batch(net: MTNet) -> bool:
    """Whether the trunk computes its holes as dense convolutions on smaller images."""
    return getattr(net.features.trunk, "parts", 1) > 1


def network(task: Task, config: Config, way: Way, device: str) -> MTNet:
    """The network of the joint phase, computed in some way."""
    seed_everything(0, "gpu-step")
    net = MTNet(task, config)
    truncated_normal(net)
    if not way.space_to_batch and has_space_to_batch(net):
        net.features.trunk.parts = 1
    return place(net, device, channels_last=way.channels_last, compiled=way.compiled)


def losses(
    net: MTNet, images: Tensor, clips: Tensor, codes: Tensor, labels: Tensor, way: Way, config: Config
) -> Tensor:
    """Eq. 11: the sum of the three terms for one batch."""
    logits, code, output = net(standardise(images, way.channels_last))
    total = config.eta_gen * generation_loss(output, clips)
    total = total + config.eta_per * F.cross_entropy(logits.float(), labels)
    return total + config.eta_rep * representation_loss(code, codes, config.rep_norm)


def batch_of(task: Task, config: Config, size: int, device: str) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Random uint8 images (B, H, W, C), clips (B, T), codes (B, D), labels (B,)."""
    form = task.image
    images = torch.randint(0, 256, (size, form.height_px, form.width_px, form.channels), dtype=torch.uint8)
    clips = torch.rand(size, task.audio.samples) - 0.5
    codes = torch.rand(size, config.code) * 2 - 1
    labels = torch.randint(0, len(task.class_names), (size,))
    return images.to(device), clips.to(device), codes.to(device), labels.to(device)


def step_of(task: Task, config: Config, way: Way, size: int, device: str) -> Callable[[], None]:
    """One training step on a batch that is on the device already."""
    net = network(task, config, way, device).train()
    settings = Optimiser(config.optimiser, 1e-6, config.eta_l2 * config.l2, config.momentum)
    optimiser = make_optimiser(net, settings)
    batch = batch_of(task, config, size, device)

    def step() -> None:
        with autocast(device, "bf16" if way.bf16 else "float32"):
            value = losses(net, *batch, way, config)
        optimiser.zero_grad(set_to_none=True)
        value.backward()  # type: ignore[no-untyped-call]
        optimiser.step()

    return step


def flop_per_image(task: Task, config: Config) -> float:
    """Floating-point operations of convolutions and matrix products, forward and backward, for one image.

    Counted on tensors without values, so that it takes no time at full width.
    """
    size = 2
    with torch.device("meta"):
        net = MTNet(task, config)
    if has_space_to_batch(net):
        net.features.trunk.parts = 1
    pixels = torch.empty(size, task.image.channels, task.image.height_px, task.image.width_px, device="meta")
    with FlopCounterMode(display=False) as counter:
        logits, code, output = net(pixels)
        (logits.sum() + code.sum() + output.sum()).backward()  # type: ignore[no-untyped-call]
    return counter.get_total_flops() / size


# --------------------------------------------------------------------------------------------- measuring
def synchronise(device: str) -> None:
    """Waits until the device has done what it was given."""
    if device != "cpu":
        torch.cuda.synchronize()


def calls_per_second(step: Callable[[], None], at: Place) -> float:
    """Steps per second, after some that are not counted: the first ones choose algorithms, and compile."""
    for _ in range(WARM_UP):
        step()
    synchronise(at.device)
    started, done = time.perf_counter(), 0
    while True:
        step()
        done += 1
        if done % WARM_UP == 0:
            synchronise(at.device)
            if (took := time.perf_counter() - started) >= at.seconds:
                return done / took


def product_flop_per_second(at: Place) -> float:
    """What a large bf16 matrix product reaches: floating-point operations per second."""
    n = 256 if at.tiny else 8192
    left, right = (torch.rand(n, n, device=at.device, dtype=torch.bfloat16) for _ in range(2))
    return 2 * n**3 * calls_per_second(lambda: torch.mm(left, right), at)


@contextmanager
def freed(way: Way, device: str) -> Iterator[None]:
    """Gives the memory of a row back before the next one."""
    try:
        yield
    finally:
        if way.compiled:
            torch.compiler.reset()
        if device != "cpu":
            torch.cuda.empty_cache()


def images_per_second(task: Task, config: Config, way: Way, size: int, at: Place) -> float | str:
    """Of a training step; why it cannot be measured, where it does not fit or does not compile."""
    with freed(way, at.device):
        try:
            with computing("measuring a step"):
                return size * calls_per_second(step_of(task, config, way, size, at.device), at)
        except PrerequisiteError as error:
            return error.what.splitlines()[0][:60]


def epochs_in(seconds: float, rate: float, items: int) -> int:
    """Whole epochs that fit: training, a validation after each, and the generation of the outputs at the end.

    Args:
        seconds: in all.
        rate: training images per second.
        items: training images of an epoch.
    """
    left = seconds * rate - GENERATED * FORWARD
    return max(0, math.floor(left / (items + HELD_OUT * FORWARD)))


# ---------------------------------------------------------------------------------------------- printing
def measure(name: str, at: Place, batch: int, minutes: float, ways: Sequence[Way], product: float) -> None:
    """Prints the rows of one data set."""
    recipe, items = SETS[name]
    task = load_toml(content.find("recipes", recipe), Recipe).task
    config = config_of(at.tiny)
    flop = flop_per_image(task, config)
    print(f"\n{name}: {flop / 1e9:.4g} GFLOP per training image, batch {batch}")
    print(f"{'way':<18} {'images/s':>10} {'to fp32':>8} {'of product':>10}")
    known = has_space_to_batch(network(task, Config(**(config.model_dump() | TINY)), WAYS[3], "cpu"))
    rates: dict[Way, float] = {}
    for way in ways:
        if way.space_to_batch and not known:
            way = replace(way, space_to_batch=False)
            if not way.compiled:
                print(f"{way.name:<18} this version's trunk has none")
                continue
        found = images_per_second(task, config, way, batch, at)
        if isinstance(found, str):
            print(f"{way.name:<18} {found}", flush=True)
            continue
        rates[way] = found
        ratio = found / rates[ways[0]] if ways[0] in rates else math.nan
        print(f"{way.name:<18} {found:>10,.1f} {ratio:>8.2f} {found * flop / product:>10.1%}", flush=True)
    if rates:
        best = max(rates, key=lambda way: rates[way])
        eager = [way for way in rates if not way.compiled]
        by_batch(task, config, max(eager or [best], key=lambda way: rates[way]), at)
        fit = epochs_in(60 * minutes, rates[best], items)
        print(
            f"in {minutes:g} minutes: {fit} epochs of {items:,} images ({best.name}), validation and outputs included"
        )


def by_batch(task: Task, config: Config, way: Way, at: Place) -> None:
    """Prints images per second by batch size: the smallest batch near the best rate is the one to train with."""
    cells = []
    for size in BATCHES[:2] if at.tiny else BATCHES:
        found = images_per_second(task, config, way, size, replace(at, seconds=at.seconds / 2))
        cells.append(f"{size}: {found if isinstance(found, str) else f'{found:,.0f}'}")
    print(f"by batch ({way.name}): {', '.join(cells)} images/s", flush=True)


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10.0, help="time into which epochs are to fit")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=3.0, help="of each row")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--no-compile", action="store_true", help="leave torch.compile out")
    parser.add_argument("--tiny", action="store_true", help="a narrow network: does everything run?")
    options = parser.parse_args()
    device = resolve_device(options.device)
    tiny = options.tiny or device == "cpu"
    at = Place(device, min(options.seconds, 0.1) if tiny else options.seconds, tiny)
    ways = [way for way in WAYS if not (way.compiled and (options.no_compile or tiny))]
    print(f"{describe_device(device)}, PyTorch {torch.__version__}")
    if tiny:
        print("tiny: a narrow network. These figures say nothing about the full one.")
    elif torch.backends.cudnn.allow_tf32:
        print("fp32 here is PyTorch's default: convolutions in TF32, matrix products in full precision")
    with processor_threads(1) if device == "cpu" else nullcontext():  # more than free cores wait for each other
        product = product_flop_per_second(at)
        print(f"bf16 matrix product: {product / 1e12:.3g} TFLOP/s")
        for name in SETS:
            measure(name, at, min(options.batch, 8) if tiny else options.batch, options.minutes, ways, product)


if __name__ == "__main__":
    main()
