"""A fitted reservoir as a graph of ONNX."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.sparse import issparse

from reservoir.estimators._c_header import ExportedModel

# Operators that the graph needs are there from this version on; runtimes of 2020 read it.
_OPSET, _IR_VERSION = 13, 7
_ACTIVATIONS = {"tanh": "Tanh", "logistic": "Sigmoid", "relu": "Relu", "identity": "Identity"}


def onnx_model(model: ExportedModel) -> bytes:
    """Return the serialized graph.

    Raises
    ------
    ImportError
        If the package onnx is not installed.
    """
    try:
        import onnx
    except ImportError as error:
        raise ImportError(
            "`to_onnx` needs the package onnx. Install it: pip install reservoir-hessianfree[onnx]"
        ) from error
    graph = _outer_graph(onnx, model)
    made = onnx.helper.make_model(
        graph, opset_imports=[onnx.helper.make_opsetid("", _OPSET)], ir_version=_IR_VERSION
    )
    onnx.checker.check_model(made, full_check=True)
    serialized: bytes = made.SerializeToString()
    return serialized


def _outer_graph(onnx: Any, model: ExportedModel) -> Any:
    """Return inputs, the Scan, and outputs."""
    helper, reservoir = onnx.helper, model.reservoir
    kind = helper.np_dtype_to_tensor_dtype(reservoir.dtype)
    n_outputs = len(model.readout.intercept)
    feeds_back = reservoir.feedback is not None

    def value(name: str, *shape: int | str) -> Any:
        return helper.make_tensor_value_info(name, kind, shape)

    begin = ["initial_state", *["initial_output"] * feeds_back]
    end = ["final_state", *["final_output"] * feeds_back]
    scan = helper.make_node(
        "Scan", [*begin, "inputs"], [*end, "outputs"], body=_step_graph(onnx, model),
        num_scan_inputs=1,
    )  # fmt: skip
    inputs = [value("inputs", "n_steps", reservoir.n_inputs)]
    inputs.append(value("initial_state", reservoir.n_units))
    if feeds_back:
        inputs.append(value("initial_output", n_outputs))
    outputs = [value("outputs", "n_steps", n_outputs), value("final_state", reservoir.n_units)]
    return helper.make_graph([scan], "echo_state_network", inputs, outputs)


def _step_graph(onnx: Any, model: ExportedModel) -> Any:
    """Return one step: from state, fed-back output and input to the next state and the output."""
    helper, reservoir, readout = onnx.helper, model.reservoir, model.readout
    kind = helper.np_dtype_to_tensor_dtype(reservoir.dtype)
    n_outputs = len(readout.intercept)
    nodes: list[Any] = []
    constants: list[Any] = []

    def constant(name: str, array: Any) -> str:
        if issparse(array):
            array = array.toarray()
        values = np.ascontiguousarray(array, dtype=reservoir.dtype)
        constants.append(onnx.numpy_helper.from_array(values, name))
        return name

    def node(operator: str, inputs: list[str], output: str) -> str:
        nodes.append(helper.make_node(operator, inputs, [output]))
        return output

    def affine(name: str, start: str, terms: list[tuple[Any, str]]) -> str:
        """Return start + Σ matrix vector, over those matrices that are there."""
        total = start
        for index, (matrix, vector) in enumerate(terms):
            if matrix is not None:
                weight = constant(f"{name}_weight_{index}", matrix)
                product = node("MatMul", [weight, vector], f"{name}_product_{index}")
                total = node("Add", [total, product], f"{name}_sum_{index}")
        return total

    z = affine(
        "drive",
        constant("bias", reservoir.bias),
        [(reservoir.recurrent, "x"), (reservoir.input, "u"), (reservoir.feedback, "y_before")],
    )
    active = node(_ACTIVATIONS[str(reservoir.activation)], [z], "active")
    leak = np.asarray(reservoir.leak_rate)
    kept = node("Mul", [constant("kept_share", 1 - leak), "x"], "kept")
    replaced = node("Mul", [constant("leak_rate", leak), active], "replaced")
    node("Add", [kept, replaced], "x_next")
    squared = node("Mul", ["x_next", "x_next"], "x_squared")
    y = affine(
        "readout",
        constant("intercept", readout.intercept),
        [(readout.state, "x_next"), (readout.squares, squared), (readout.input, "u")],
    )
    node("Identity", [y], "y")

    def value(name: str, size: int) -> Any:
        return helper.make_tensor_value_info(name, kind, (size,))

    inputs = [value("x", reservoir.n_units), value("u", reservoir.n_inputs)]
    outputs = [value("x_next", reservoir.n_units), value("y", n_outputs)]
    if reservoir.feedback is not None:
        inputs.insert(1, value("y_before", n_outputs))
        node("Identity", ["y"], "y_kept")
        outputs.insert(1, value("y_kept", n_outputs))
    return helper.make_graph(nodes, "step", inputs, outputs, initializer=constants)
