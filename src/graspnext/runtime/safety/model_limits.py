"""What the model of a bundle may be at most, and what it may be made of: shared by the checks of ONNX and of IR.

The lists name arithmetic on tensors alone. Control flow, states, sequences, strings and random numbers are left out: no
network of this project needs them, and what is left out cannot be attacked.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

MAX_LAYERS = 20_000
MAX_NAME = 1_000
"""Characters of a name."""
MAX_RANK = 16
MAX_DIMENSION = 1 << 31
MAX_INPUTS = 1_000
"""Of one layer."""
EXPONENTS = {"f16": (16, 0x7C00), "bf16": (16, 0x7F80), "f32": (32, 0x7F800000), "f64": (64, 0x7FF0000000000000)}
"""Type of floating point -> bits, and those of them that are all set in infinity and NaN."""

ONNX_OPERATORS = frozenset(
    """
    Abs Acos Acosh Add And ArgMax ArgMin Asin Asinh Atan Atanh AveragePool BatchNormalization Cast Ceil Celu Clip
    Compress Concat Constant ConstantOfShape Conv ConvInteger ConvTranspose Cos Cosh CumSum DeformConv
    DepthToSpace DequantizeLinear Div Dropout DynamicQuantizeLinear Einsum Elu Equal Erf Exp Expand EyeLike
    Flatten Floor Gather GatherElements GatherND Gelu Gemm GlobalAveragePool GlobalMaxPool Greater GreaterOrEqual
    GridSample GroupNormalization HardSigmoid HardSwish Identity InstanceNormalization IsInf IsNaN
    LayerNormalization LeakyRelu Less LessOrEqual Log LogSoftmax LpNormalization LRN MatMul MatMulInteger Max
    MaxPool MaxRoiPool Mean MeanVarianceNormalization Min Mish Mod Mul Neg NonMaxSuppression NonZero Not OneHot Or
    Pad Pow PRelu QLinearConv QLinearMatMul QuantizeLinear Range Reciprocal ReduceL1 ReduceL2 ReduceLogSum
    ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum ReduceSumSquare Relu Reshape Resize
    RoiAlign Round ScatterElements ScatterND Selu Shape Sigmoid Sign Sin Sinh Size Slice Softmax Softplus Softsign
    SpaceToDepth Split Sqrt Squeeze Sub Sum Tan Tanh ThresholdedRelu Tile TopK Transpose Trilu Unsqueeze Where Xor
    """.split()  # noqa: SIM905 - a list would take a hundred lines
)
"""Operators of ONNX's own domain that a model may use."""

OPENVINO_LAYERS = frozenset(
    """
    Abs Acos Acosh AdaptiveAvgPool AdaptiveMaxPool Add Asin Asinh Atan Atanh AvgPool BatchNormInference
    BatchToSpace Broadcast Ceiling Clamp Concat Const Convert ConvertLike Convolution ConvolutionBackpropData Cos
    Cosh CumSum DeformableConvolution DepthToSpace Divide Einsum Elu Equal Erf Exp Eye FakeQuantize Floor FloorMod
    Gather GatherElements GatherND Gelu Greater GreaterEqual GridSample GroupConvolution
    GroupConvolutionBackpropData GroupNormalization HardSigmoid HSigmoid HSwish Interpolate IsFinite IsInf IsNaN
    Less LessEqual Log LogicalAnd LogicalNot LogicalOr LogicalXor LogSoftmax LRN MatMul Maximum MaxPool Minimum
    Mish Mod Multiply MVN Negative NonMaxSuppression NonZero NormalizeL2 NotEqual OneHot Pad Parameter Power PReLU
    Range ReduceL1 ReduceL2 ReduceLogicalAnd ReduceLogicalOr ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum
    ReLU Reshape Result ROIAlign ROIPooling Roll Round ScatterElementsUpdate ScatterNDUpdate ScatterUpdate Select
    Selu ShapeOf ShuffleChannels Sigmoid Sign Sin Sinh Slice SoftMax SoftPlus SoftSign SpaceToBatch SpaceToDepth
    Split Sqrt SquaredDifference Squeeze StridedSlice Subtract Swish Tan Tanh Tile TopK Transpose Unsqueeze
    VariadicSplit
    """.split()  # noqa: SIM905
)
"""Layers of OpenVINO's own opsets that a model may use."""


class RefusedModelError(ValueError):
    """A model is damaged, or holds something that bundles never hold. The message is one line."""


def check_count(what: str, count: int, limit: int) -> None:
    """See that there are not too many.

    Raises:
        RefusedModelError: There are.
    """
    if count > limit:
        raise RefusedModelError(f"{count} {what}, more than the {limit} allowed")


def check_shape(where: str, dims: Sequence[int]) -> int:
    """Number of elements of a constant.

    Raises:
        RefusedModelError: It is no shape, or larger than any constant is.
    """
    if len(dims) > MAX_RANK or not all(0 <= size <= MAX_DIMENSION for size in dims):
        raise RefusedModelError(f"{where} has the shape {quoted(dims)}")
    elements = 1
    for size in dims:
        elements *= size
    return elements


def check_finite(where: str, content: bytes | memoryview, bits: int, exponent: int) -> None:
    """Look for infinity and NaN among floating-point numbers: they make native kernels read where they should not.

    Args:
        where: What holds them.
        content: Their bytes, little end first.
        bits: Of one number: 16, 32 or 64.
        exponent: Mask of the bits that are all set in infinity and NaN.

    Raises:
        RefusedModelError: It does.
    """
    numbers = np.frombuffer(content, dtype=f"<u{bits // 8}")
    if ((numbers & exponent) == exponent).any():
        raise RefusedModelError(f"{where} holds infinity or NaN")


def quoted(value: object) -> str:
    """Foreign text for a message: on one line, short, and without characters that a terminal obeys."""
    text = value if isinstance(value, str) else repr(value)
    text = text.encode("unicode_escape").decode()
    return f"'{text[:80]}...'" if len(text) > 80 else f"'{text}'"
