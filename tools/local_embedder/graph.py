#!/usr/bin/env python3
"""Writes the graphs of the local embedder, without weights: app/providers/local/e5-level*.onnx.

    pip install onnx && python -m tools.local_embedder.graph

Run by hand where the graph changes. The encoder from the embedded tokens on: `emb` (texts,
tokens, 384) and `mask` (texts, tokens) to `hidden` (texts, tokens, 384), in onnxruntime's own
operators. The weights are handed over when the service starts, under the names given here.
"""

import struct
from typing import Any

import numpy as np
from onnx import TensorProto, helper

from app.providers.local.e5 import GRAPHS
from app.providers.local.tokens import Tokenizer
from app.providers.local.weights import (
    BLOCK,
    LAYERS,
    LINEAR,
    SIZE,
    Weights,
    installed_weights,
    shape_of,
)

OPSET, IR_VERSION = 18, 9  # old enough for every onnxruntime that has MatMulNBits
HEADS = 12
EPSILON_AT = 36  # in the file of weights
MICROSOFT = "com.microsoft"


class Graph:
    """An ONNX graph while it is made; each method adds to it and gives the name of its output."""

    def __init__(self, accuracy: int, epsilon: float, weights: dict[str, Any]) -> None:
        """`accuracy` is MatMulNBits' accuracy_level: 0 for float32, 4 for 8 bits."""
        self._accuracy = accuracy
        self._epsilon = epsilon
        self._weights = weights
        self._nodes: list[Any] = []
        self._initializers: list[Any] = []

    def encoder(self) -> bytes:
        hidden = self._node(
            "LayerNormalization",
            ["emb", self._weight("emb.ln.w"), self._weight("emb.ln.b")],
            ["h"],
            axis=-1,
            epsilon=self._epsilon,
        )
        for number in range(LAYERS):
            hidden = self._layer(f"l{number}.", hidden)
        floats = TensorProto.FLOAT
        inputs = [
            helper.make_tensor_value_info("emb", floats, ["texts", "tokens", SIZE]),
            helper.make_tensor_value_info("mask", TensorProto.INT32, ["texts", "tokens"]),
        ]
        outputs = [helper.make_tensor_value_info(hidden, floats, ["texts", "tokens", SIZE])]
        graph = helper.make_graph(self._nodes, "e5", inputs, outputs, self._initializers)
        opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid(MICROSOFT, 1)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION)
        made: bytes = model.SerializeToString()
        return made

    def _layer(self, name: str, hidden: str) -> str:
        parts = [name + part for part in ("q", "k", "v")]
        self._node("Split", [self._linear(name, "qkv", hidden)], parts, axis=-1, num_outputs=3)
        attention = [*parts, "", "mask"]
        attended = self._node(
            "MultiHeadAttention", attention, [f"{name}a"], MICROSOFT, num_heads=HEADS
        )
        hidden = self._norm(f"{name}aln", self._linear(name, "ao", attended), hidden)
        wide = self._node("Gelu", [self._linear(name, "fi", hidden)], [f"{name}g"], MICROSOFT)
        return self._norm(f"{name}oln", self._linear(name, "fo", wide), hidden)

    def _linear(self, layer: str, name: str, x: str) -> str:
        parts = LINEAR[name]
        inputs, outputs = shape_of(parts[0])
        product = self._node(
            "MatMulNBits",
            [x, self._weight(f"{layer}{name}.q"), self._weight(f"{layer}{name}.s")],
            [f"{layer}{name}.y"],
            MICROSOFT,
            K=inputs,
            N=outputs * len(parts),
            bits=4,
            block_size=BLOCK,
            accuracy_level=self._accuracy,
        )
        return self._node("Add", [product, self._weight(f"{layer}{name}.b")], [layer + name])

    def _norm(self, name: str, x: str, skipped: str) -> str:
        inputs = [x, skipped, self._weight(f"{name}.w"), self._weight(f"{name}.b")]
        return self._node(
            "SkipLayerNormalization", inputs, [name], MICROSOFT, epsilon=self._epsilon
        )

    def _node(
        self, kind: str, inputs: list[str], outputs: list[str], domain: str = "", **values: Any
    ) -> str:
        self._nodes.append(helper.make_node(kind, inputs, outputs, domain=domain, **values))
        return outputs[0]

    def _weight(self, name: str) -> str:
        array = self._weights[name]
        kind = TensorProto.UINT8 if array.dtype == np.uint8 else TensorProto.FLOAT
        tensor = TensorProto(name=name, data_type=kind, dims=array.shape)
        tensor.data_location = TensorProto.EXTERNAL
        place = {"location": "weights", "offset": "0", "length": str(array.nbytes)}
        for key, value in place.items():
            tensor.external_data.add(key=key, value=value)
        self._initializers.append(tensor)
        return name


def main() -> None:
    path = installed_weights()
    if path is None:
        raise SystemExit("the weights are not installed: see requirements-model.txt")
    with path.open("rb") as file:
        (epsilon,) = struct.unpack_from("<f", file.read(EPSILON_AT + 4), EPSILON_AT)
    weights = Weights(path, Tokenizer(path).stop).initializers()
    for level, target in GRAPHS.items():
        target.write_bytes(Graph(level, epsilon, weights).encoder())
        print(target.name, target.stat().st_size, "bytes")


if __name__ == "__main__":
    main()
