"""Ten everyday sounds (ESC-10) by a linear classifier; five of them are things that ImageNet has.

A small annotator for trying the way from videos to a data set: its weights come with the package, and it tells ten
sounds apart, whatever it hears. It is no substitute for SoundNet. What its classes mean as labels:

- `dog_bark` is `dog` (n02084071), which includes ImageNet's 118 breeds: a bark does not say which;
- `rooster` is `cock` (n01514668), `sea_waves` is `seashore` (n09428293), `chainsaw` is `chain saw` (n03000684);
- `clock_tick` is `clock` (n03046257), which includes the analog clock and the wall clock: digital ones do not tick;
- `baby_cry`, `fire_crackling`, `helicopter`, `person_sneeze` and `rain` have no class in ImageNet: their labels are
  `esc10:<class>`, which agree with no label of a picture.

`fit` reads ESC-10 (a directory per class), this data set's subset of the same names, or ESC-50 (one directory, the
class in the file name): files are `<fold>-<clip>-<take>...`. Fold 5 is for the test.

Source of the sounds: K. J. Piczak, "ESC: dataset for environmental sound classification", ACM Multimedia 2015 (ESC-10:
CC BY 3.0).
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xmbench.annotators import _imagenet, _mel_statistics
from xmbench.errors import MediaError, UpstreamError
from xmbench.interfaces import Annotator, FittedAnnotator, Label, Modality, PublishedWeights
from xmbench.media import audio
from xmbench.media.signal import Media, Sound
from xmbench.networks import weight_files as _weights

CLASSES = (
    "baby_cry",
    "chainsaw",
    "clock_tick",
    "dog_bark",
    "fire_crackling",
    "helicopter",
    "person_sneeze",
    "rain",
    "rooster",
    "sea_waves",
)
_ESC50 = {0: "dog_bark", 1: "rooster", 10: "rain", 11: "sea_waves", 12: "fire_crackling"}
_ESC50 |= {20: "baby_cry", 21: "person_sneeze", 38: "clock_tick", 40: "helicopter", 41: "chainsaw"}
_FILE = re.compile(r"(?P<fold>[1-5])-[0-9]+-[A-Z](-(?P<target>[0-9]+))?\.(ogg|wav|flac)")
_TEST_FOLD = 5
_PENALTY = 10.0  # of squared weights; by cross-validation over the folds
_ARRAYS = {
    "mean": (_mel_statistics.FEATURES,),
    "scale": (_mel_statistics.FEATURES,),
    "weight": (len(CLASSES), _mel_statistics.FEATURES),
    "bias": (len(CLASSES),),
}


def labels() -> tuple[Label, ...]:
    """The label of each class, in their order."""
    known = {
        "dog_bark": Label("n02084071", "dog", _imagenet.dogs()),
        "rooster": Label("n01514668", "cock"),
        "sea_waves": Label("n09428293", "seashore"),
        "chainsaw": Label("n03000684", "chain saw"),
        "clock_tick": Label("n03046257", "clock", ("n02708093", "n04548280")),
    }
    return tuple(known.get(name, Label(f"esc10:{name}", name.replace("_", " "))) for name in CLASSES)


class Esc10Sounds:
    """ESC-10's ten sounds by a linear classifier; its weights come with the package."""

    name = "esc10-sounds"
    modality: Modality = "audio"
    shipped: Path | None = Path(__file__).with_suffix(".npz")
    published: tuple[PublishedWeights, ...] = ()

    def load(self, weights: Path, device: str = "cpu") -> Annotator:
        """Reads what `fit` made."""
        arrays = _weights.read_npz(weights)
        _weights.check_shapes(weights, arrays, _ARRAYS)
        return _Loaded({name: np.asarray(arrays[name], np.float64) for name in _ARRAYS})

    def fit(self, folder: Path) -> FittedAnnotator:
        """Fits it to folds 1 to 4; the card states how it does on fold 5, and on each fold when it is left out."""
        values, targets, folds = _examples(folder)
        outcome = {}
        for fold in sorted(set(folds.tolist())):
            trained = _fitted(values[folds != fold], targets[folds != fold])
            outcome[fold] = _right(trained, values[folds == fold], targets[folds == fold])
        final = _fitted(values[folds != _TEST_FOLD], targets[folds != _TEST_FOLD])
        stream = io.BytesIO()
        np.savez(stream, **{name: value.astype(np.float32) for name, value in final.items()})  # type: ignore[arg-type]
        clips = {fold: int((folds == fold).sum()) for fold in outcome}
        return FittedAnnotator(
            stream.getvalue(),
            {
                "classes": list(CLASSES),
                "trained_on": f"folds 1 to 4: {int((folds != _TEST_FOLD).sum())} clips",
                "fold_5": {
                    "clips": clips[_TEST_FOLD],
                    "top_1": outcome[_TEST_FOLD][0],
                    "top_3": outcome[_TEST_FOLD][1],
                },
                "cross_validation": {
                    "clips": len(targets),
                    "top_1": _mean(outcome, clips, 0),
                    "top_3": _mean(outcome, clips, 1),
                },
                "licence": "CC BY 3.0 (the sounds)",
                "attribution": "K. J. Piczak, ESC-10; the clips are of Freesound's contributors, whom its list names",
            },
        )


def _mean(outcome: Mapping[int, tuple[float, float]], clips: Mapping[int, int], which: int) -> float:
    """Share over all clips of the folds."""
    return round(sum(outcome[fold][which] * number for fold, number in clips.items()) / sum(clips.values()), 4)


def _right(
    arrays: Mapping[str, NDArray[np.float64]], values: NDArray[np.float64], targets: NDArray[np.int64]
) -> tuple[float, float]:
    """Shares of clips whose class is the first, and among the first three."""
    order = np.argsort(-_mel_statistics.probabilities(values, **arrays), axis=1, kind="stable")
    found = order == targets[:, None]
    return round(float(found[:, 0].mean()), 4), round(float(found[:, :3].any(axis=1).mean()), 4)


def _fitted(values: NDArray[np.float64], targets: NDArray[np.int64]) -> dict[str, NDArray[np.float64]]:
    """Multinomial logistic regression on standardised features."""
    from sklearn.linear_model import LogisticRegression

    mean, scale = values.mean(0), values.std(0) + 1e-6
    found = LogisticRegression(C=1 / _PENALTY, max_iter=1000).fit((values - mean) / scale, targets)
    return {"mean": mean, "scale": scale, "weight": found.coef_, "bias": found.intercept_}


def _examples(folder: Path) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]]:
    """Features (N, 320), classes and folds of every clip, sorted by name."""
    values, targets, folds, problems = [], [], [], []
    for path, name, fold in _clips(folder):
        try:
            samples, rate = audio.decode(path.read_bytes())
        except (MediaError, OSError) as error:
            problems.append(f"{path.name}: {error}")
            continue
        mono: NDArray[np.float32] = samples.mean(axis=1, dtype=np.float32)
        values.append(_mel_statistics.features(Sound(mono, rate)))
        targets.append(CLASSES.index(name))
        folds.append(fold)
    there = {(CLASSES[target], fold) for target, fold in zip(targets, folds, strict=True)}
    problems += [
        f"no clip of {name} in fold {fold}" for name in CLASSES for fold in range(1, 6) if (name, fold) not in there
    ]
    if problems:
        raise UpstreamError(
            "the directory is not ESC-10",
            where=folder,
            expected="<class>/<fold>-<clip>-<take>.ogg, or the .wav files of ESC-50",
            problems=problems,
            todo="get ESC-50 (ESC-10 is a part of it): github.com/karolpiczak/ESC-50",
        )
    return np.stack(values), np.array(targets), np.array(folds)


def _clips(folder: Path) -> Iterator[tuple[Path, str, int]]:
    """Path, class and fold of every file of ESC-10's classes."""
    for path in sorted(folder.rglob("*")):
        named = _FILE.fullmatch(path.name)
        if named is None or path.name.startswith("."):
            continue
        place = re.sub(r"^[0-9]+ - ", "", path.parent.name).lower().replace(" ", "_")
        name = _ESC50.get(int(named["target"]), "") if named["target"] else place
        if name in CLASSES:
            yield path, name, int(named["fold"])


class _Loaded:
    """The classifier with weights."""

    modality: Modality = "audio"

    def __init__(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        self.heads: Mapping[str, tuple[Label, ...]] = {_imagenet.HEAD: labels()}
        self._arrays = arrays

    def probabilities(self, items: Sequence[Media]) -> dict[str, NDArray[np.float32]]:
        """Softmax over the ten classes."""
        sounds = [item for item in items if isinstance(item, Sound)]
        if not sounds:
            return {_imagenet.HEAD: np.empty((0, len(CLASSES)), np.float32)}
        rows = [_mel_statistics.probabilities(_mel_statistics.features(item)[None], **self._arrays) for item in sounds]
        return {_imagenet.HEAD: np.concatenate(rows)}


ANNOTATOR = Esc10Sounds()
