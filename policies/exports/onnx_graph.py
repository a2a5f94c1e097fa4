"""A graph of ONNX under construction, and what every kind of model needs of it.

The one door to the library `onnx`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import reduce
from typing import Any

from policies.codec import content_hash
from policies.document import Document
from policies.inputs import Input, inputs
from policies.vocabulary import N_SLOT_FEATURES, action_names, feature_names, n_actions, n_features

OPSET, ML_OPSET, IR_VERSION = 18, 3, 9
MISSING = 'kairos export --as onnx needs onnx: pip install "kairos-notify[onnx]"'
Name = str  # of a tensor in the graph


class Graph:
    """A graph under construction; every method adds nodes and returns the name of what they make.

    Tensors are double, (N, 1) unless said otherwise.
    """

    def __init__(self, n_slots: int) -> None:
        try:
            import onnx
        except ImportError as missing:
            raise ModuleNotFoundError(MISSING, name="onnx") from missing
        self.onnx = onnx
        self.n_slots, self.names = n_slots, action_names(n_slots)
        self.known = inputs(n_slots)
        self._nodes: list[Any] = []
        self._constants: dict[Name, Any] = {}
        self._columns: dict[int, Name] = {}
        self._seen = self.add("Cast", "observations", to=onnx.TensorProto.DOUBLE)
        self._hour: Name | None = None

    def add(self, operator: str, *given: Name, domain: str = "", **attributes: Any) -> Name:
        """Add a node; return what it makes."""
        made = f"t{len(self._nodes)}"
        self._nodes.append(self.onnx.helper.make_node(operator, list(given), [made], domain=domain, **attributes))
        return made

    def constant(self, values: Any, kind: str = "DOUBLE", shape: Sequence[int] | None = None) -> Name:
        """Return a constant; without a shape a list of its values."""
        helper, flat = self.onnx.helper, list(values) if isinstance(values, list | tuple) else [values]
        dims = [len(flat)] if shape is None else list(shape)
        name = f"c{len(self._constants)}"
        self._constants[name] = helper.make_tensor(name, getattr(self.onnx.TensorProto, kind), dims, flat)
        return name

    def number(self, value: float) -> Name:
        """Return a number, (1, 1)."""
        return self.constant(value, shape=(1, 1))

    def row(self, values: Sequence[float]) -> Name:
        """Return a row of numbers, (1, n)."""
        return self.constant(list(values), shape=(1, len(values)))

    def column(self, index: int) -> Name:
        """Return an entry of the observation."""
        if index == n_features(self.n_slots):
            return self.local_hour()
        if index not in self._columns:
            self._columns[index] = self.add("Gather", self._seen, self.constant(index, "INT64", (1,)), axis=1)
        return self._columns[index]

    def feature(self, entry: Input, slot: int) -> Name:
        """Return an input of a slot's candidate, or of the user."""
        return self.column(entry.index + (N_SLOT_FEATURES * slot if entry.is_per_slot else 0))

    def joined(self, columns: Sequence[Name]) -> Name:
        """Return columns side by side, (N, n); a constant among them is spread over the rows."""
        zero = self.add("Mul", self.column(0), self.number(0.0))
        spread = [self.add("Add", zero, column) if column in self._constants else column for column in columns]
        return self.add("Concat", *spread, axis=1)

    def eligible(self, action: int) -> Name:
        """Return whether an action is eligible, bool."""
        return self.add("Gather", "eligible", self.constant(action, "INT64", (1,)), axis=1)

    def all_of(self, flags: Sequence[Name]) -> Name:
        """Return whether all of some flags hold, bool."""
        return reduce(lambda one, other: self.add("And", one, other), flags)

    def any_of(self, flags: Sequence[Name]) -> Name:
        """Return whether any of some flags holds, bool."""
        return reduce(lambda one, other: self.add("Or", one, other), flags)

    def local_hour(self) -> Name:
        """Return the whole local hour: atan2 of the clock's sine and cosine, which ONNX has only the half of."""
        if self._hour is None:
            sine, cosine, zero = self.column(0), self.column(1), self.number(0.0)
            is_level = self.add("Equal", cosine, zero)
            safe = self.add("Where", is_level, self.number(1.0), cosine)
            # Runtimes have the arcus tangent in float32 alone: a hundredth of what the clock is rounded to.
            ratio = self.add("Cast", self.add("Div", sine, safe), to=self.onnx.TensorProto.FLOAT)
            half = self.add("Cast", self.add("Atan", ratio), to=self.onnx.TensorProto.DOUBLE)
            is_up = self.add("GreaterOrEqual", sine, zero)
            turn = self.add("Where", is_up, self.number(math.pi), self.number(-math.pi))
            turned = self.add("Add", half, turn)
            angle = self.add("Where", self.add("Less", cosine, zero), turned, half)
            upright = self.add("Where", is_up, self.number(math.pi / 2), self.number(-math.pi / 2))
            level = self.add("Where", self.add("Equal", sine, zero), zero, upright)
            hours = self.add("Mul", self.add("Where", is_level, level, angle), self.number(12.0 / math.pi))
            # Read to 1e-4 hours, as everywhere.
            scaled = self.add("Round", self.add("Mul", hours, self.number(1e4)))
            whole = self.add("Div", scaled, self.number(1e4))
            day = self.number(24.0)
            wrapped = self.add("Where", self.add("Less", whole, zero), self.add("Add", whole, day), whole)
            self._hour = self.add("Floor", wrapped)
        return self._hour

    def model(self, probabilities: Name, document: Document) -> bytes:
        """Return the bytes of the model whose answer is a tensor of the graph."""
        helper, kinds = self.onnx.helper, self.onnx.TensorProto
        self._nodes.append(helper.make_node("Identity", [probabilities], ["probabilities"]))
        graph = helper.make_graph(
            self._nodes,
            "policy",
            [
                helper.make_tensor_value_info("observations", kinds.FLOAT, ["N", n_features(self.n_slots)]),
                helper.make_tensor_value_info("eligible", kinds.BOOL, ["N", n_actions(self.n_slots)]),
            ],
            [helper.make_tensor_value_info("probabilities", kinds.DOUBLE, ["N", n_actions(self.n_slots)])],
            list(self._constants.values()),
        )
        opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid("ai.onnx.ml", ML_OPSET)]
        made = helper.make_model(graph, opset_imports=opsets, producer_name="kairos", ir_version=IR_VERSION)
        told = {
            "policy_hash": content_hash(document),
            "name": document.name,
            "features": ",".join(feature_names(self.n_slots)),
            "actions": ",".join(self.names),
            "own_limits": "hold them, and say by eligible what they leave" if document.brings_limits else "none",
        }
        helper.set_model_props(made, told)
        self.onnx.checker.check_model(made)
        data: bytes = made.SerializeToString()
        return data
