"""Print the CUDA source that CuPy makes of fused chains, which needs CuPy but no GPU.

    python cupy_fusion.py < calls.json

Each call names a chain (module and function), the choices it was bound to, and what its arguments
are: [dtype, number of axes] of an array, "float", or null.
"""

import importlib
import json
import sys
import warnings

import numpy as np


def source(call):
    """Return the functions, the body, and the parameters of a kernel: name, type, if a number."""
    # Here, not above: doctest collection imports this file where there is no CuPy.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import cupy
        from cupy._core import _fusion_thread_local, fusion

    history = fusion._FusionHistory()
    local = _fusion_thread_local.thread_local
    local.history, local.is_old_fusing = history, True
    arguments = []
    for kind in call["arguments"]:
        if kind is None:
            arguments.append(None)
        elif kind == "float":
            variable = history._fresh_premap_param(np.dtype(float))
            arguments.append(fusion._FusionVarScalar(variable, -1, False, float))
        else:
            dtype, n_axes = kind
            variable = history._fresh_premap_param(np.dtype(dtype))
            arguments.append(fusion._FusionVarArray(variable, n_axes, False))
    chain = getattr(importlib.import_module(call["module"]), call["chain"])
    try:
        assert chain(cupy, *call["choices"], *arguments) is None
    finally:
        local.history, local.is_old_fusing = None, False
    types = {"f": "float", "d": "double"}
    parameters = [
        (repr(variable), types[variable.dtype.char], kind == "float")
        for variable, kind in zip(history.param_list, filter(None, call["arguments"]))
    ]
    return history._emit_submodules_code(), history._emit_operation_code(), parameters


if __name__ == "__main__":
    json.dump([source(call) for call in json.load(sys.stdin)], sys.stdout)
