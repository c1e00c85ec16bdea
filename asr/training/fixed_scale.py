"""int8 LSTMs whose inputs are rounded on one fixed scale, so that nothing depends on how sound is cut into steps.

onnxruntime's DynamicQuantizeLSTM rounds its input to 256 steps from the least to the largest value of the whole call:
what is heard at the end of a step changes its beginning, and steps of 80 ms are read otherwise than steps of 1 s. Two
more columns that hold the limits of the scale, with weights of zero, make it the same in every call.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

LIMIT = 5.0  # normalized log-mel lies between -2.3 (silence) and 5.2 (full scale), normalized layers within 4.6


def fix_scale(path: Path, limit: float = LIMIT) -> None:
    """Changes an int8 network in place: its LSTMs clip what they read to -limit ... limit and round on that scale."""
    import onnx
    from onnx import helper, numpy_helper

    model = onnx.load(str(path))
    graph = model.graph
    weights = {array.name: array for array in graph.initializer}
    constants = {"scale_low": np.float32(-limit), "scale_high": np.float32(limit), "one_column": [0, 0, 0, 0, 0, 1]}
    graph.initializer.extend(numpy_helper.from_array(np.array(value), name) for name, value in constants.items())
    nodes = []
    for node in graph.node:
        if node.op_type == "DynamicQuantizeLSTM":
            source, inputs = node.input[0], node.input[1]
            clipped, low, node.input[0] = (f"{node.output[0]}_{step}" for step in ("clipped", "low", "scaled"))
            nodes += [
                helper.make_node("Clip", [source, "scale_low", "scale_high"], [clipped]),
                helper.make_node("Pad", [clipped, "one_column", "scale_low"], [low]),
                helper.make_node("Pad", [low, "one_column", "scale_high"], [node.input[0]]),
            ]
            matrix = numpy_helper.to_array(weights[inputs])  # [1, inputs, 4 * width]
            wider = np.pad(matrix, ((0, 0), (0, 2), (0, 0)))
            weights[inputs].CopyFrom(numpy_helper.from_array(wider, inputs))
        nodes.append(node)
    del graph.node[:]
    graph.node.extend(nodes)
    onnx.save(model, str(path))
