"""Cuts the first blocks out of MobileNetV2 as Google publishes it in 8 bits, for the judges of instrument images.

usage: python photo_features.py MOBILENET.npz OUT

MOBILENET.npz has the quantised network `mobilenet_v2_1.0_224` (github.com/google-coral/test_data, Apache-2.0) as
arrays: `<layer>.w_u8` (O, I, kh, kw), `<layer>.scale`, `<layer>.zp`, `<layer>.bias` for the layers conv_in,
block0.depthwise, block0.project, block1.expand, ... Writes OUT/mobilenet-v2-first-blocks.safetensors: integers, scale,
zero point and bias of each layer, unchanged.
"""

from __future__ import annotations

import argparse
import hashlib
from pathlib import Path

import numpy as np
from safetensors.numpy import save

from xmbench.judges.instrument_images.photo_features import BLOCKS, WEIGHTS, Convolution, PhotoFeatures


def main() -> None:
    """Writes the file and prints its digest."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("network", type=Path)
    parser.add_argument("out", type=Path)
    given = parser.parse_args()
    known = np.load(given.network)
    found = {}
    for name, module in PhotoFeatures(BLOCKS).named_modules():
        if isinstance(module, Convolution):
            layer = name.replace("blocks.", "block")
            shape = tuple(module.layer.weight.shape)
            found[f"{name}.integers"] = np.ascontiguousarray(known[f"{layer}.w_u8"]).reshape(shape)
            found[f"{name}.scale"] = np.asarray(known[f"{layer}.scale"], np.float32).reshape(1)
            found[f"{name}.zero"] = np.asarray(known[f"{layer}.zp"], np.uint8).reshape(1)
            found[f"{name}.bias"] = np.asarray(known[f"{layer}.bias"], np.float32)
    data = save(found)
    given.out.mkdir(parents=True, exist_ok=True)
    (given.out / WEIGHTS.name).write_bytes(data)
    print(f"{WEIGHTS.name}: {len(data)} bytes, sha256 {hashlib.sha256(data).hexdigest()}")


if __name__ == "__main__":
    main()
