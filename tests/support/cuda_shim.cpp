// recurrence.cu for a C++ compiler, behind one function.
#include "cuda_shim.h"

#include KERNELS

extern "C" int launch(const char *name, const unsigned *grid, unsigned n_threads, size_t shared,
                      void **arguments) {
    auto weights = *(Weights *)arguments[0];
    auto lanes = *(Lanes *)arguments[1];
    if (!std::strcmp(name, "drive_lanes")) {
        run_grid(grid, n_threads, shared, [=] { drive_lanes(weights, lanes); });
        return 0;
    }
    auto closing = *(Closing *)arguments[2];
    if (!std::strcmp(name, "close_lanes")) {
        run_grid(grid, n_threads, shared, [=] { close_lanes(weights, lanes, closing); });
        return 0;
    }
    auto t = *(int *)arguments[3];
    if (!std::strcmp(name, "step_units")) {
        run_grid(grid, n_threads, shared, [=] { step_units(weights, lanes, closing, t); });
        return 0;
    }
    if (!std::strcmp(name, "step_outputs")) {
        run_grid(grid, n_threads, shared, [=] { step_outputs(weights, lanes, closing, t); });
        return 0;
    }
    return 1;
}
