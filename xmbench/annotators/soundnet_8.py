"""SoundNet-8: objects (ImageNet-1k) and scenes (Places2) in a sound: the sound annotator of the paper.

Weights, in one of the layouts of `xmbench.networks.soundnet_layouts`.

The names of the outputs are read from `categories_imagenet.txt`, which must lie beside the weights, and, for scenes,
from `categories_places2.txt`: the places of classes in these lists are those of the weights, and of nothing else.

A sound under 10 s is repeated as a whole; of several time steps the middle one counts (both as the authors' script).

Source: Y. Aytar, C. Vondrick, A. Torralba, "SoundNet: learning sound representations from unlabeled video", 2016.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xmbench.annotators import _imagenet
from xmbench.errors import PrerequisiteError
from xmbench.interfaces import Annotator, Label, Modality, PublishedWeights
from xmbench.media import audio
from xmbench.media.signal import Media, Sound
from xmbench.networks import weight_files as _weights
from xmbench.networks.soundnet_layouts import canonical

OBJECT_NAMES, SCENE_NAMES = "categories_imagenet.txt", "categories_places2.txt"
_HOME = "http://data.csail.mit.edu/soundnet"


class SoundNet8:
    """SoundNet-8: ImageNet's objects and Places2's scenes, by ear."""

    name = "soundnet-8"
    modality: Modality = "audio"
    shipped: Path | None = None
    published = (
        PublishedWeights(
            "sound8.npy (or sound8.pth, or an npz file of its arrays)",
            f"{_HOME}/soundnet_models_public.zip (torch7), github.com/eborboihuc/SoundNet-tensorflow (npy); 58 MB",
            0,
            "",
            "MIT",
        ),
        PublishedWeights(OBJECT_NAMES, f"{_HOME}/categories/{OBJECT_NAMES}, beside the weights", 0, "", "MIT"),
    )

    def load(self, weights: Path, device: str = "cpu") -> Annotator:
        """Reads any of the layouts, and the lists of categories beside the file."""
        arrays = canonical(weights)
        heads = {_imagenet.HEAD: _imagenet.named(_names(weights, OBJECT_NAMES), weights.parent / OBJECT_NAMES)}
        if (weights.parent / SCENE_NAMES).is_file():
            scenes = _names(weights, SCENE_NAMES)
            heads["scenes"] = tuple(Label(f"places2:{name[3:]}", name[3:].replace("_", " ")) for name in scenes)
        return _Loaded(weights, arrays, heads, device)


def _names(weights: Path, name: str) -> list[str]:
    path = weights.parent / name
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise PrerequisiteError(
            "the list of SoundNet's categories is missing: without it nobody knows what an output means",
            where=path,
            expected=f"{_HOME}/categories/{name}",
            todo="put it beside the weights",
        ) from error
    return [line.strip() for line in text.splitlines() if line.strip()]


class _Loaded:
    """SoundNet-8 with weights."""

    modality: Modality = "audio"

    def __init__(
        self, path: Path, arrays: Mapping[str, NDArray[Any]], heads: Mapping[str, tuple[Label, ...]], device: str
    ) -> None:
        import torch

        from xmbench.annotators._computing import on_device
        from xmbench.networks.soundnet import OBJECTS, SCENES, SoundNet8

        self.heads = heads
        self._device = on_device(device)
        network = SoundNet8()
        wanted = {name: tuple(v.shape) for name, v in network.state_dict().items() if v.is_floating_point()}
        _weights.check_shapes(path, arrays, wanted)
        for name, number in ((_imagenet.HEAD, OBJECTS), ("scenes", SCENES)):
            if name in heads and len(heads[name]) != number:
                raise PrerequisiteError(
                    f"{len(heads[name])} categories of {name}", where=path.parent, expected=f"{number}, one a line"
                )
        network.load_state_dict(
            {name: torch.from_numpy(np.array(arrays[name], np.float32)) for name in wanted}, strict=False
        )
        self._network = network.to(self._device).eval()

    def probabilities(self, items: Sequence[Media]) -> dict[str, NDArray[np.float32]]:
        """Softmax of the middle time step of each head; sounds of one length are computed together."""
        from xmbench.annotators._computing import in_batches

        prepared = [_prepared(item) for item in items if isinstance(item, Sound)]
        found = {name: np.empty((len(prepared), len(labels)), np.float32) for name, labels in self.heads.items()}
        for length in sorted({len(samples) for samples in prepared}):
            rows = [row for row, samples in enumerate(prepared) if len(samples) == length]
            outputs = in_batches([prepared[row] for row in rows], np.asarray, self._forward, self._device)
            for name, values in outputs.items():
                found[name][rows] = values
        return found

    def _forward(self, samples: Any) -> dict[str, Any]:
        objects, scenes = self._network(samples)
        middle = (objects.shape[2] + 1) // 2 - 1
        found = {_imagenet.HEAD: objects[:, :, middle], "scenes": scenes[:, :, middle]}
        return {name: found[name] for name in self.heads}


def _prepared(item: Sound) -> NDArray[np.float32]:
    """Samples at 22,050 Hz in -256..256, repeated to 10 s."""
    import torch

    from xmbench.networks.soundnet import SAMPLE_RATE_HZ, repeated, scaled

    samples = audio.resample(np.asarray(item.samples, np.float32), item.sample_rate_hz, SAMPLE_RATE_HZ)
    if item.sample_rate_hz != SAMPLE_RATE_HZ:  # resampling overshoots
        samples = np.clip(samples, -1.0, 1.0)
    values: NDArray[np.float32] = repeated(scaled(torch.from_numpy(np.array(samples)))).numpy()
    return values


ANNOTATOR = SoundNet8()
