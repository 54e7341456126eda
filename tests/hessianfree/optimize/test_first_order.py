"""First-order optimizers against their published updates; schedules and clipping."""

import dataclasses
import math

import numpy as np
import pytest

from hessianfree.optimize import (
    SGD,
    Adagrad,
    Adam,
    CosineDecay,
    ExponentialDecay,
    FunctionObjective,
    InverseTimeDecay,
    Momentum,
    PiecewiseConstant,
    RMSprop,
    SutskeverMomentum,
    clip_by_norm,
    clip_by_value,
    vector_norm,
)
from hessianfree.training import FreshBatches, load_checkpoint, start, train
from reservoir.utils.persistence import pack, unpack

# What PyTorch 2.13 does in float64 with these gradients, from this start. Each figure is
# `p.detach().tolist()` of p = torch.nn.Parameter(torch.tensor(START)) after p.grad =
# torch.tensor(g); optimizer.step(), with the optimizers of torch.optim that the tests name.
START = [1.0, -0.5, 0.25]
GRADIENTS = [
    [0.5, -2.0, 1e-3],
    [-0.25, 4.0, 0.0],
    [3.0, -1.0, 2e-3],
    [1.0, 0.125, -5e-3],
    [0.0, -8.0, 1e-3],
]
TORCH = {
    "SGD(lr=0.1)": [
        [0.95, -0.3, 0.2499],
        [0.975, -0.7, 0.2499],
        [0.6749999999999999, -0.6, 0.2497],
        [0.575, -0.6124999999999999, 0.2502],
        [0.575, 0.1875000000000001, 0.2501],
    ],
    "SGD(lr=0.1, momentum=0.9)": [
        [0.95, -0.3, 0.2499],
        [0.9299999999999999, -0.52, 0.24981],
        [0.6119999999999999, -0.618, 0.249529],
        [0.22579999999999983, -0.7187, 0.2497761],
        [-0.12178000000000018, -0.009329999999999955, 0.24989849],
    ],
    "SGD(lr=0.1, momentum=0.9, nesterov=True)": [
        [0.905, -0.12, 0.24981],
        [0.912, -0.7180000000000001, 0.249729],
        [0.3258, -0.7062, 0.2492761],
        [-0.1217800000000001, -0.8093300000000001, 0.24999849],
        [-0.43460200000000015, 0.629103, 0.250008641],
    ],
    "Adagrad(lr=0.1)": [
        [0.90000000002, -0.400000000005, 0.15000000999999902],
        [0.9447213595619958, -0.48944271910299164, 0.15000000999999902],
        [0.8464135291029324, -0.4676209300798686, 0.06055729490000726],
        [0.8152735713374413, -0.4703476394955552, 0.15184438615086832],
        [0.8152735713374413, -0.38358343065413325, 0.13388385627077146],
    ],
    "RMSprop(lr=0.1, alpha=0.9, momentum=0.5)": [
        [0.6837722539831607, -0.18377223898316195, -0.06621776633305576],
        [0.6731003284339865, -0.31137264214821236, -0.22432664949958364],
        [0.3559866495320028, -0.3019280023535873, -0.5917518335028781],
        [0.09391743562142926, -0.30685204646786285, -0.48350746030576786],
        [-0.037117171333857515, -0.024889220937659922, -0.48980141789505993],
    ],
    "Adam(lr=0.1)": [
        [0.900000002, -0.4000000005, 0.1500009999900001],
        [0.8733662987078463, -0.4366103530878296, 0.08299612240551799],
        [0.8067958876646854, -0.45027941934124416, 0.0027028902353811723],
        [0.7368744458220666, -0.4630583808947265, 0.02892292462608993],
        [0.6777748834858509, -0.42107492998270346, 0.04092092306636394],
    ],
    "Adam(lr=0.1, betas=(0.5, 0.75), eps=0.5)": [
        [0.95, -0.42, 0.2498003992015968],
        [0.95, -0.47270067391068443, 0.24973381970794994],
        [0.8812424251760819, -0.4820134124668089, 0.24947739720600953],
        [0.8206016071312342, -0.48986702129904464, 0.24988808242706173],
        [0.7865161258283982, -0.41488864231002587, 0.24998433596173275],
    ],
}
OURS = {
    "SGD(lr=0.1)": SGD(0.1),
    "SGD(lr=0.1, momentum=0.9)": Momentum(0.1, nesterov=False),
    "SGD(lr=0.1, momentum=0.9, nesterov=True)": Momentum(0.1, nesterov=True),
    "Adagrad(lr=0.1)": Adagrad(0.1),
    "RMSprop(lr=0.1, alpha=0.9, momentum=0.5)": RMSprop(0.1, decay=0.9, momentum=0.5),
    "Adam(lr=0.1)": Adam(0.1),
    "Adam(lr=0.1, betas=(0.5, 0.75), eps=0.5)": Adam(
        0.1, mean_decay=0.5, square_decay=0.75, stabilizer=0.5
    ),
}
# torch.optim.SGD(lr=0.2, momentum=0.8, nesterov=...) on 0.5 * p @ A @ p from [3, -1].
MATRIX = np.array([[2.0, 0.5], [0.5, 1.0]])
TORCH_QUADRATIC = {
    False: [
        [1.9, -1.1],
        [0.3699999999999998, -1.1500000000000001],
        [-0.8870000000000003, -0.9970000000000001],
        [-1.4381000000000004, -0.5864999999999999],
        [-1.2450900000000003, 0.0030100000000002343],
        [-0.592947, 0.5985250000000003],
    ],
    True: [
        [1.0199999999999998, -1.18],
        [-0.20600000000000024, -1.0028],
        [-0.6259760000000001, -0.5701519999999999],
        [-0.55477072, -0.08303119999999983],
        [-0.3293504416, 0.2951130016000002],
        [-0.14917136761599997, 0.4930041121920002],
    ],
}

QUADRATIC = FunctionObjective(
    value=lambda x: 0.5 * x @ MATRIX @ x, gradient=lambda x: MATRIX @ x,
    product=lambda x, v: MATRIX @ v,
)  # fmt: skip
ALL = [SGD(), Momentum(), Momentum(nesterov=False), Adagrad(), RMSprop(momentum=0.5), Adam()]


def name_of(optimizer):
    return type(optimizer).__name__


class Recorded:
    """An objective whose batch is its gradient."""

    def value_and_gradient(self, params, batch):
        return 1.0, np.array(batch, dtype=params.dtype)


def replay(optimizer, gradients, params=START, dtype=np.float64):
    """Return the states and infos of a run along given gradients."""
    state, states, infos = optimizer.init(np.array(params, dtype=dtype)), [], []
    for gradient in gradients:
        state, info = optimizer.step(Recorded(), state, gradient)
        states.append(state)
        infos.append(info)
    return states, infos


class TestFormulas:
    @pytest.mark.parametrize("name", TORCH)
    def test_the_same_steps_as_pytorch(self, name):
        optimizer = OURS[name]
        states, _ = replay(optimizer, GRADIENTS)
        path = [state.params for state in states]
        if name.endswith("nesterov=True)"):
            path = [state.params + 0.9 * state.velocity for state in states]
        np.testing.assert_allclose(path, TORCH[name], rtol=1e-12, atol=1e-13)

    @pytest.mark.parametrize("name", TORCH)
    def test_float32_stays_float32(self, name):
        states, _ = replay(OURS[name], GRADIENTS, dtype=np.float32)
        exact, _ = replay(OURS[name], GRADIENTS)
        for state, expected in zip(states, exact, strict=True):
            for item in dataclasses.fields(state):
                value = getattr(state, item.name)
                if isinstance(value, np.ndarray):
                    assert value.dtype == np.float32
                    np.testing.assert_allclose(
                        value, getattr(expected, item.name), rtol=2e-5, atol=1e-6
                    )

    @pytest.mark.parametrize("nesterov", [False, True])
    def test_momentum_on_a_function_as_pytorch(self, nesterov):
        optimizer = Momentum(0.2, momentum=0.8, nesterov=nesterov)
        state, path = optimizer.init(np.array([3.0, -1.0])), []
        for _ in range(6):
            state, info = optimizer.step(QUADRATIC, state)
            path.append(state.params + (0.8 * state.velocity if nesterov else 0))
        np.testing.assert_allclose(path, TORCH_QUADRATIC[nesterov], rtol=1e-12, atol=1e-13)
        assert info["momentum"] == 0.8
        # The loss is that of where the gradient was taken.
        before = np.array(path[-2])
        assert info["loss"] == pytest.approx(0.5 * before @ MATRIX @ before, rel=1e-12)

    def test_nesterov_and_classical_differ_by_where_the_gradient_is_taken(self):
        """Polyak's and Nesterov's own recursions, written out."""
        for nesterov in (False, True):
            optimizer = Momentum(0.1, momentum=lambda t: 0.5 + 0.1 * t, nesterov=nesterov)
            state = optimizer.init(np.array([3.0, -1.0]))
            theta, v = np.array([3.0, -1.0]), np.zeros(2)
            for t in range(4):
                mu = 0.5 + 0.1 * t
                v = mu * v - 0.1 * MATRIX @ (theta + (mu * v if nesterov else 0))
                theta = theta + v
                state, _ = optimizer.step(QUADRATIC, state)
                np.testing.assert_allclose(state.params, theta, rtol=1e-14)

    def test_a_new_learning_rate_leaves_the_old_velocity_alone(self):
        """PyTorch rescales it: with lr 0.1 for three steps, then 0.01, it ends elsewhere."""
        torch = [0.5386219999999999, -0.557133, 0.249565949]
        optimizer = Momentum(PiecewiseConstant((0.1, 0.01), (3,)), nesterov=False)
        states, infos = replay(optimizer, GRADIENTS)
        assert [info["learning_rate"] for info in infos] == [0.1] * 3 + [0.01] * 2
        theta, v = np.array(START), np.zeros(3)
        buffer, rescaled = np.zeros(3), np.array(START)
        for t, g in enumerate(GRADIENTS):
            rate = 0.1 if t < 3 else 0.01
            v = 0.9 * v - rate * np.array(g)
            theta = theta + v
            buffer = 0.9 * buffer + np.array(g)
            rescaled = rescaled - rate * buffer
        np.testing.assert_allclose(states[-1].params, theta, rtol=1e-13)
        np.testing.assert_allclose(rescaled, torch, rtol=1e-12)
        assert np.abs(theta - torch).max() > 0.1

    @pytest.mark.parametrize("optimizer", ALL, ids=name_of)
    def test_finds_the_minimum_of_a_quadratic(self, optimizer):
        # What remains of a fixed rate is a cycle of about its size (Adam, RMSprop): let it fall.
        optimizer = dataclasses.replace(optimizer, learning_rate=CosineDecay(0.3, 2000))
        state = optimizer.init(np.array([3.0, -1.0]))
        for _ in range(2000):
            state, _ = optimizer.step(QUADRATIC, state)
        np.testing.assert_allclose(state.params, 0, atol=1e-5)

    @pytest.mark.parametrize("scale", [1e-6, 1e6])
    @pytest.mark.parametrize(
        "optimizer",
        [Adagrad(stabilizer=1e-30), RMSprop(stabilizer=1e-30), Adam(stabilizer=1e-30)],
        ids=name_of,
    )
    def test_a_rate_per_parameter_does_not_see_the_scale_of_the_loss(self, optimizer, scale):
        states, _ = replay(optimizer, GRADIENTS)
        scaled, _ = replay(optimizer, scale * np.array(GRADIENTS))
        np.testing.assert_allclose(scaled[-1].params, states[-1].params, rtol=1e-12)


class TestClipping:
    def test_by_norm(self):
        """torch.nn.utils.clip_grad_norm_, which has norm + 1e-6 in its denominator."""
        gradient = 4 * np.array(GRADIENTS[0])
        norm = 8.246212221377764
        torch = [1.2126778354549044, -4.8507113418196175, 0.0024253556709098087]
        clipped = clip_by_norm(gradient, 5.0)
        np.testing.assert_allclose(clipped, np.array(torch) * (norm + 1e-6) / norm, rtol=1e-14)
        assert vector_norm(gradient) == pytest.approx(norm, rel=1e-15)
        assert clip_by_norm(gradient, 100.0) is gradient

    def test_by_value(self):
        """torch.nn.utils.clip_grad_value_ with 1.5."""
        np.testing.assert_array_equal(
            clip_by_value(4 * np.array(GRADIENTS[0]), 1.5), [1.5, -1.5, 0.004]
        )

    @pytest.mark.parametrize("scale", [1e-30, 1e30])
    def test_neither_over_nor_underflow(self, scale):
        gradient = np.array([3, 4], dtype=np.float32) * np.float32(scale)
        assert vector_norm(gradient) == pytest.approx(5 * scale, rel=1e-6)
        clipped = clip_by_norm(gradient, 2 * scale)
        assert clipped.dtype == np.float32
        np.testing.assert_allclose(clipped / np.float32(scale), [1.2, 1.6], rtol=1e-6)
        assert vector_norm(np.zeros(3)) == 0
        assert vector_norm(np.zeros(0)) == 0

    def test_clipped_gradients_are_what_is_stepped_along(self):
        big = [[30.0, 40.0, 0.0]]
        states, infos = replay(SGD(1.0, clip_norm=1.0), big, params=[0.0, 0.0, 0.0])
        np.testing.assert_allclose(states[0].params, [-0.6, -0.8, 0], rtol=1e-15)
        assert infos[0]["gradient_norm"] == 50
        assert infos[0]["clipped"] is True
        assert infos[0]["step_norm"] == pytest.approx(1)
        states, infos = replay(SGD(1.0, clip_value=1.0), big, params=[0.0, 0.0, 0.0])
        np.testing.assert_array_equal(states[0].params, [-1, -1, 0])
        # By value first, then by norm.
        states, _ = replay(SGD(1.0, clip_value=1.0, clip_norm=1.0), big, params=[0.0] * 3)
        np.testing.assert_allclose(states[0].params, [-(0.5**0.5), -(0.5**0.5), 0])
        _, infos = replay(SGD(1.0, clip_norm=1.0, clip_value=1.0), [[0.5, 0.5, 0.0]])
        assert infos[0]["clipped"] is False

    @pytest.mark.parametrize("optimizer", ALL, ids=name_of)
    @pytest.mark.parametrize("bad", [math.nan, math.inf])
    def test_what_is_not_finite_is_refused_and_said(self, optimizer, bad):
        optimizer = dataclasses.replace(optimizer, clip_norm=1.0, clip_value=1.0)
        gradients = [GRADIENTS[0], [1.0, bad, 1.0], GRADIENTS[1]]
        states, infos = replay(optimizer, gradients)
        assert [info["accepted"] for info in infos] == [True, False, True]
        assert states[1] is states[0]
        assert states[2].n_steps == 2
        assert infos[1]["step_norm"] == 0
        assert not math.isfinite(infos[1]["gradient_norm"])
        without, _ = replay(optimizer, [GRADIENTS[0], GRADIENTS[1]])
        np.testing.assert_array_equal(states[2].params, without[1].params)

    @pytest.mark.parametrize("optimizer", [Adagrad(), RMSprop(), Adam()], ids=name_of)
    def test_squares_that_overflow_do_not_stop_a_parameter_for_ever(self, optimizer):
        gradients = [[1e25, 1.0, 1.0], *GRADIENTS]
        states, infos = replay(optimizer, gradients, dtype=np.float32)
        assert [info["accepted"] for info in infos] == [False] + [True] * 5
        assert states[-1].params[0] != START[0]

    def test_an_infinite_loss_is_refused(self):
        class Broken(Recorded):
            def value_and_gradient(self, params, batch):
                return math.nan, np.ones_like(params)

        state = SGD().init(np.ones(2))
        assert SGD().step(Broken(), state)[0] is state


class TestSchedules:
    def test_as_the_schedulers_of_pytorch(self):
        """StepLR(3, 0.5), ExponentialLR(0.9), CosineAnnealingLR(8, eta_min=0.01) from lr=0.1."""
        torch = {
            ExponentialDecay(0.1, 0.5, every=3, staircase=True): [
                0.1, 0.1, 0.1, 0.05, 0.05, 0.05, 0.025, 0.025,
            ],
            ExponentialDecay(0.1, 0.9, every=1): [
                0.1, 0.09, 0.081, 0.0729, 0.06561, 0.059049, 0.0531441, 0.04782969,
            ],
            CosineDecay(0.1, 8, final=0.01): [
                0.1, 0.0965745789630079, 0.08681980515339463, 0.07222075445642905, 0.055,
                0.03777924554357096, 0.023180194846605363, 0.013425421036992097,
            ],
        }  # fmt: skip
        for schedule, expected in torch.items():
            np.testing.assert_allclose([schedule(t) for t in range(8)], expected, rtol=1e-13)

    def test_inverse_time(self):
        decay = InverseTimeDecay(0.3, half_life=50)
        np.testing.assert_allclose(
            [1 / decay(t) for t in range(0, 500, 100)], np.arange(0, 500, 100) / 15 + 1 / 0.3
        )

    def test_published_momentum(self):
        """1 - 2^(-1 - log2(k + 1)) is 1 - 1 / (2 (k + 1)) on the k-th stair of 250 updates."""
        momentum = SutskeverMomentum(0.995)
        for t in (0, 1, 249, 250, 499, 500, 7321, 24_999, 25_000, 10**6):
            assert momentum(t) == pytest.approx(min(1 - 0.5 / (t // 250 + 1), 0.995), rel=1e-14)
        assert momentum(24_749) < 0.995 == momentum(24_750)

    def test_published_momentum_of_recurrent_nets(self):
        momentum = PiecewiseConstant((0.9, 0.995), (1000,))
        optimizer = Momentum(1e-3, momentum=momentum)
        state = optimizer.init(np.ones(2))
        seen = []
        for _ in range(1002):
            state, info = optimizer.step(QUADRATIC, state)
            seen.append(info["momentum"])
        assert seen == [0.9] * 1000 + [0.995] * 2

    def test_errors(self):
        with pytest.raises(ValueError, match=r"`values` has 2 numbers and `boundaries` is \(\)"):
            PiecewiseConstant((1.0, 2.0), ())
        with pytest.raises(ValueError, match=r"`boundaries` is \(5, 5\), but positive rising"):
            PiecewiseConstant((1.0, 2.0, 3.0), (5, 5))
        with pytest.raises(ValueError, match="`factor` is 0"):
            ExponentialDecay(0.1, 0, 3)
        with pytest.raises(ValueError, match="`half_life` is 0"):
            InverseTimeDecay(0.1, 0)
        with pytest.raises(ValueError, match="`n_steps` is 0"):
            CosineDecay(0.1, 0)
        with pytest.raises(ValueError, match=r"`maximum` is 1\.1"):
            SutskeverMomentum(1.1)


class TestArguments:
    def test_errors(self):
        for make, match in [
            (lambda: SGD(-0.1), r"`learning_rate` is -0\.1"),
            (lambda: SGD(lambda t: math.nan), "`learning_rate` is nan"),
            (lambda: SGD(clip_norm=0), "`clip_norm` is 0"),
            (lambda: SGD(clip_value=-1), "`clip_value` is -1"),
            (lambda: Momentum(momentum=1.5), r"`momentum` is 1\.5"),
            (lambda: Adagrad(stabilizer=0), "`stabilizer` is 0"),
            (lambda: RMSprop(decay=1), r"`decay` is 1\.0, but a number of 0 or more and below 1"),
            (lambda: RMSprop(momentum=1), r"`momentum` is 1\.0, but a number"),
            (lambda: Adam(mean_decay=1), r"`mean_decay` is 1\.0"),
            (lambda: Adam(square_decay=-1), "`square_decay` is -1"),
        ]:
            with pytest.raises(ValueError, match=match):
                make()
        with pytest.raises(TypeError, match="`learning_rate` is 'fast'"):
            SGD("fast")
        with pytest.raises(ValueError, match=r"`params` has shape \(2, 2\)"):
            Adam().init(np.ones((2, 2)))
        with pytest.raises(ValueError, match=r"`learning_rate` is -1"):
            replay(SGD(lambda t: 1.0 - t), GRADIENTS)

    @pytest.mark.parametrize("optimizer", ALL, ids=name_of)
    def test_inputs_are_left_alone(self, optimizer):
        params = np.array([3.0, -1.0])
        # Its gradient is the very array of the parameters.
        objective = FunctionObjective(lambda x: x @ x / 2, lambda x: x, lambda x, v: v)
        state = optimizer.init(params)
        kept = {item.name: np.copy(getattr(state, item.name)) for item in dataclasses.fields(state)}
        optimizer.step(objective, state)
        np.testing.assert_array_equal(params, [3, -1])
        for name, value in kept.items():
            np.testing.assert_array_equal(getattr(state, name), value)

    @pytest.mark.parametrize("optimizer", ALL, ids=name_of)
    def test_what_files_hold(self, optimizer):
        state, _ = optimizer.step(QUADRATIC, optimizer.init(np.array([3.0, -1.0])))
        optimizer = dataclasses.replace(
            optimizer, learning_rate=CosineDecay(0.1, 10), clip_norm=2.0
        )
        for value in (optimizer, state):
            arrays = {}
            loaded = unpack(pack(value, "value", arrays), arrays)
            assert type(loaded) is type(value)
            for item in dataclasses.fields(value):
                np.testing.assert_array_equal(getattr(loaded, item.name), getattr(value, item.name))

    def test_the_cost_is_one_gradient_per_sequence(self):
        class Many(list):
            n_sequences = 7

        _, info = SGD().step(Recorded(), SGD().init(np.ones(3)), Many(GRADIENTS[0]))
        assert (info["passes"], info["sequence_gradients"]) == (1.0, 7.0)


class TestInTheLoop:
    @pytest.mark.parametrize("optimizer", ALL, ids=name_of)
    def test_stopped_and_resumed_equals_never_stopped(self, optimizer, tmp_path):
        objective = Recorded()
        data = FreshBatches(lambda n, rng: rng.standard_normal(3).astype(np.float32), 1)
        optimizer = dataclasses.replace(optimizer, learning_rate=CosineDecay(0.1, 12))
        params = np.array(START, dtype=np.float32)
        whole = train(objective, optimizer, data, start(optimizer, params, 3), n_iterations=12)
        file = tmp_path / "run.npz"
        train(
            objective, optimizer, data, start(optimizer, params, 3), n_iterations=5, checkpoint=file
        )
        half = load_checkpoint(file, optimizer)
        assert half.iteration == half.optimizer_state.n_steps == 5
        resumed = train(objective, optimizer, data, half, n_iterations=12)
        for item in dataclasses.fields(whole.optimizer_state):
            ours, theirs = (getattr(run.optimizer_state, item.name) for run in (resumed, whole))
            np.testing.assert_array_equal(ours, theirs)
        for name in ("loss", "learning_rate", "gradient_norm", "passes", "step_norm"):
            np.testing.assert_array_equal(resumed.history[name], whole.history[name])
        assert {"seconds", "sequence_gradients", "clipped", "accepted"} < set(whole.history.names)

    def test_a_file_of_another_optimizer_is_refused(self, tmp_path):
        file, data = tmp_path / "run.npz", FreshBatches(lambda n, rng: None, 1)
        train(QUADRATIC, Adam(), data, start(Adam(), np.ones(2)), n_iterations=1, checkpoint=file)
        with pytest.raises(ValueError, match="`optimizer` is a RMSprop, but the file holds a Adam"):
            load_checkpoint(file, RMSprop())
