// The recurrence on a GPU, many runs side by side: a lane is one sequence through one reservoir,
// of which there may be several.
//
//     x[t] = (1 - c a) x[t-1] + c a f(z[t] + r W x[t-1] + W_fb y[t-1])
//     y[t] = o[t] + V_x x[t] + V_q x[t]^2 + V_y y[t-1]              in closed loop only
//
// z and o, which do not depend on the run, are made ahead by matrix products and lie where the
// states and outputs will: each is read once and then overwritten. The compiler is told what
// NUMBER is, float or double. No header is needed, so that NVRTC, nvcc and, with a shim for the
// words of CUDA, a C++ compiler take the same source.

typedef NUMBER number;

// Of several reservoirs of one size. Rows j of `sources` and `values` are connection j of each unit:
// threads beside one another read numbers beside one another.
struct Weights {
    const int *sources;       // (n_reservoirs, n_slots, n_units)
    const number *values;     // of that shape, 0 where a unit has fewer connections
    const number *leak_rate;  // a, (n_reservoirs, n_units)
    int n_units, n_slots;
    int activation;           // place of f in the tuple ACTIVATIONS of _reservoir.py
    int unused;
};

struct Lanes {
    number *states;               // (n_rows, n_units): z, then x
    number *before;               // (n_lanes, n_units): x[-1], then the last x
    const long long *first_rows;  // (n_lanes,): where the rows of a lane begin
    const long long *n_steps;     // (n_lanes,)
    const number *recurrent;      // r, (n_lanes,)
    const number *leak;           // c, (n_lanes,)
    const long long *which;       // the reservoir of each lane, (n_lanes,)
};

struct Closing {
    number *outputs;         // (n_rows, n_outputs): o, then y
    number *before;          // (n_lanes, n_outputs): y[-1], then the last y
    const number *feedback;  // W_fb transposed, (n_outputs, n_units)
    const number *state;     // V_x, (n_outputs, n_units)
    const number *squares;   // V_q, (n_outputs, n_units), or null
    const number *output;    // V_y, (n_outputs, n_outputs), or null
    long long n_outputs;     // 0 where the loop is open
    long long apart;         // 1 where each lane has maps of its own, one after the other
};

// Threads that sum one output together.
#define TEAM 32

// What a launch asks for, of any size.
extern __shared__ __align__(16) unsigned char memory[];

__device__ inline number activate(number z, int activation) {
    switch (activation) {
        case 1: return z < 0 ? 0 : z;  // NaN passes
        case 2: return z;
        case 3: return 1 / (1 + exp(-z));
        default: return tanh(z);
    }
}

// Return x[t] of one unit from x[t-1] of all, y[t-1], and z[t].
__device__ inline number advance(const Weights &w, const Closing &c, const number *here,
                                 const number *heard, number z, number recurrent, number leak,
                                 int unit) {
    number sum = 0;
    for (int j = 0; j < w.n_slots; j++) {
        const long long place = (long long)j * w.n_units + unit;
        sum += w.values[place] * here[w.sources[place]];
    }
    z += recurrent * sum;
    for (int o = 0; o < c.n_outputs; o++) z += c.feedback[(long long)o * w.n_units + unit] * heard[o];
    // Exact where the leak is 1, and without the rounding of 1 - a elsewhere.
    const number a = leak * w.leak_rate[unit], before = here[unit];
    return a * activate(z, w.activation) + (before - a * before);
}

// Return the part of y[t] that thread `member` of a team of `size` sums up.
__device__ inline number partial_output(const Weights &w, const Closing &c, const number *state,
                                        int output, int member, int size) {
    const number *linear = c.state + (long long)output * w.n_units;
    const number *squared = c.squares ? c.squares + (long long)output * w.n_units : 0;
    number sum = 0;
    for (int i = member; i < w.n_units; i += size) {
        number x = state[i];
        sum += linear[i] * x;
        if (squared) sum += squared[i] * x * x;
    }
    return sum;
}

// Return y[t] of one output from the parts of its team.
__device__ inline number whole_output(const Closing &c, const number *parts, int n_parts,
                                      number rest, const number *heard, int output) {
    for (int p = 0; p < n_parts; p++) rest += parts[p];
    if (c.output)
        for (int o = 0; o < c.n_outputs; o++) rest += c.output[output * c.n_outputs + o] * heard[o];
    return rest;
}

// Return the weights of one lane.
__device__ inline Weights of_lane(Weights w, const Lanes &l, int lane) {
    const long long first = l.which[lane] * w.n_units;
    w.sources += first * w.n_slots;
    w.values += first * w.n_slots;
    w.leak_rate += first;
    return w;
}

// Return the maps of one lane.
__device__ inline Closing of_lane(Closing c, int n_units, int lane) {
    const long long output = c.apart ? lane * c.n_outputs : 0;
    c.feedback += output * n_units;
    c.state += output * n_units;
    if (c.squares) c.squares += output * n_units;
    if (c.output) c.output += output * c.n_outputs;
    return c;
}

// --------------------------------------------------------------------------------------
// A reservoir whose state fits the shared memory of a block: one block a lane, all steps.
// --------------------------------------------------------------------------------------

// Shared memory: x[t-1] and x[t], y[t-1] and y[t], and one number a thread.
__device__ inline void run_lane(const Weights &w, const Lanes &l, const Closing &c) {
    const int lane = blockIdx.x, thread = threadIdx.x, n_threads = blockDim.x;
    const int n_units = w.n_units, n_outputs = (int)c.n_outputs;
    number *here = (number *)memory, *there = here + n_units;
    number *heard = there + n_units, *said = heard + n_outputs, *parts = said + n_outputs;
    number *row = l.states + l.first_rows[lane] * n_units;
    number *out = n_outputs ? c.outputs + l.first_rows[lane] * n_outputs : 0;
    const number recurrent = l.recurrent[lane], leak = l.leak[lane];
    number *swap;

    for (int i = thread; i < n_units; i += n_threads)
        here[i] = l.before[(long long)lane * n_units + i];
    for (int o = thread; o < n_outputs; o += n_threads)
        heard[o] = c.before[(long long)lane * n_outputs + o];
    __syncthreads();
    const long long n_steps = l.n_steps[lane];
    for (long long t = 0; t < n_steps; t++, row += n_units, out += n_outputs) {
        for (int i = thread; i < n_units; i += n_threads)
            row[i] = there[i] = advance(w, c, here, heard, row[i], recurrent, leak, i);
        __syncthreads();
        for (int first = 0; first < n_outputs; first += n_threads / TEAM) {
            const int output = first + thread / TEAM;
            if (output < n_outputs)
                parts[thread] = partial_output(w, c, there, output, thread % TEAM, TEAM);
            __syncthreads();
            if (output < n_outputs && thread % TEAM == 0)
                out[output] = said[output] =
                    whole_output(c, parts + thread, TEAM, out[output], heard, output);
            __syncthreads();
        }
        swap = here, here = there, there = swap;
        swap = heard, heard = said, said = swap;
    }
    for (int i = thread; i < n_units; i += n_threads)
        l.before[(long long)lane * n_units + i] = here[i];
    for (int o = thread; o < n_outputs; o += n_threads)
        c.before[(long long)lane * n_outputs + o] = heard[o];
}

extern "C" __global__ void __launch_bounds__(1024) drive_lanes(Weights w, Lanes l) {
    const Closing none = {};  // a constant: the compiler leaves out what serves outputs
    run_lane(of_lane(w, l, blockIdx.x), l, none);
}

extern "C" __global__ void __launch_bounds__(1024) close_lanes(Weights w, Lanes l, Closing c) {
    run_lane(of_lane(w, l, blockIdx.x), l, of_lane(c, w.n_units, blockIdx.x));
}

// --------------------------------------------------------------------------------------
// Larger reservoirs: one launch a step, the units spread over blocks (x) and lanes (y). The states
// stay in `states`, where the next step finds them; `t` counts from the first row of each lane.
// --------------------------------------------------------------------------------------

extern "C" __global__ void __launch_bounds__(256) step_units(Weights w, Lanes l, Closing c, int t) {
    const int lane = blockIdx.y, unit = blockIdx.x * blockDim.x + threadIdx.x;
    if (t >= l.n_steps[lane] || unit >= w.n_units) return;
    const long long place = l.first_rows[lane] + t;
    number *row = l.states + place * w.n_units;
    const number *here = t ? row - w.n_units : l.before + (long long)lane * w.n_units;
    const number *heard = 0;
    if (c.n_outputs)
        heard = t ? c.outputs + (place - 1) * c.n_outputs : c.before + lane * c.n_outputs;
    row[unit] = advance(of_lane(w, l, lane), of_lane(c, w.n_units, lane), here, heard, row[unit],
                        l.recurrent[lane], l.leak[lane], unit);
}

// One block an output (x) and lane (y), after the units have been stepped.
extern "C" __global__ void __launch_bounds__(256) step_outputs(Weights w, Lanes l, Closing c,
                                                               int t) {
    const int lane = blockIdx.y, output = blockIdx.x, thread = threadIdx.x;
    if (t >= l.n_steps[lane]) return;
    const long long place = l.first_rows[lane] + t;
    number *parts = (number *)memory, *out = c.outputs + place * c.n_outputs;
    const number *heard = t ? out - c.n_outputs : c.before + lane * c.n_outputs;
    const Closing own = of_lane(c, w.n_units, lane);
    parts[thread] =
        partial_output(w, own, l.states + place * w.n_units, output, thread, blockDim.x);
    __syncthreads();
    if (thread == 0)
        out[output] = whole_output(own, parts, blockDim.x, out[output], heard, output);
}
