// The words of CUDA that recurrence.cu uses, for a C++ compiler: the threads of a block are fibers
// of one thread, which change places at a barrier, and blocks run one after the other. Where one
// barrier is missing, a fiber runs ahead of its neighbours and reads what is not there yet; the
// order of the fibers turns round at each barrier, so that this shows whichever way it goes.
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <ucontext.h>
#include <vector>

using std::exp;
using std::tanh;

#define __global__
#define __device__
#define __shared__
#define __align__(n) __attribute__((aligned(n)))
#define __launch_bounds__(n)

struct dim3 {
    unsigned x, y, z;
};
static dim3 threadIdx, blockIdx, blockDim, gridDim;
// What `extern __shared__ ... memory[]` in a kernel refers to.
alignas(16) unsigned char memory[1 << 20];

struct Fiber {
    ucontext_t context;
    std::vector<char> stack;
    bool is_done, is_waiting;
};
static ucontext_t scheduler;
static std::vector<Fiber> fibers;
static unsigned running;
static std::function<void()> body;

static void __syncthreads() {
    fibers[running].is_waiting = true;
    swapcontext(&fibers[running].context, &scheduler);
    threadIdx.x = running;
}

static void enter() {
    body();
    fibers[running].is_done = true;
    swapcontext(&fibers[running].context, &scheduler);
}

static void run_block(unsigned n_threads) {
    if (fibers.size() < n_threads) fibers.resize(n_threads);
    for (unsigned i = 0; i < n_threads; i++) {
        Fiber &fiber = fibers[i];
        fiber.stack.resize(1 << 15);
        fiber.is_done = fiber.is_waiting = false;
        getcontext(&fiber.context);
        fiber.context.uc_stack.ss_sp = fiber.stack.data();
        fiber.context.uc_stack.ss_size = fiber.stack.size();
        fiber.context.uc_link = &scheduler;
        makecontext(&fiber.context, enter, 0);
    }
    for (bool forward = true;; forward = !forward) {
        unsigned n_done = 0, n_waiting = 0;
        for (unsigned i = 0; i < n_threads; i++) {
            running = forward ? i : n_threads - 1 - i;
            if (fibers[running].is_done) continue;
            fibers[running].is_waiting = false;
            threadIdx.x = running;
            swapcontext(&scheduler, &fibers[running].context);
        }
        for (unsigned i = 0; i < n_threads; i++) {
            n_done += fibers[i].is_done;
            n_waiting += fibers[i].is_waiting && !fibers[i].is_done;
        }
        if (n_done == n_threads) return;
        if (n_done) {
            std::fprintf(stderr, "%u threads ended and %u wait at a barrier\n", n_done, n_waiting);
            std::abort();
        }
    }
}

// Run a kernel on a grid, with shared memory that holds no zeros to rely on.
static void run_grid(const unsigned *grid, unsigned n_threads, size_t shared,
                     std::function<void()> kernel) {
    if (shared > sizeof memory) std::abort();
    body = kernel;
    blockDim = {n_threads, 1, 1};
    gridDim = {grid[0], grid[1], 1};
    for (unsigned y = 0; y < grid[1]; y++)
        for (unsigned x = 0; x < grid[0]; x++) {
            std::memset(memory, 0xff, sizeof memory);
            blockIdx = {x, y, 0};
            run_block(n_threads);
        }
}
