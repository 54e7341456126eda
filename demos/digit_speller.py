"""Can a net be shown an image and spell out what it is?

One image in, many letters out: the 8 x 8 pixels of a handwritten digit set the state that a vanilla
net starts from, and from there on it hears nothing but the letters it has written itself, until it
writes the end of the word. It is trained by Hessian-free optimization on 1,000 of scikit-learn's
digits, and spells the other 797. Logistic regression, which has only to tell ten classes apart,
stands beside it. Expected: 90 % of the words right or more, about as many as the regression, and a
few that are no words: where the image leaves it undecided between two, the net may begin one and
end the other ("sive", "thvee"). Ten seconds.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from tqdm import tqdm

from demos._common import Figure, run_demo
from hessianfree import Batch, HessianFree, LevenbergMarquardt, Minibatches, start, train
from hessianfree.cells import ElmanCell
from hessianfree.language import Vocabulary
from hessianfree.network import SequenceNetwork, mean_target_bias, sparse_parameters

WORDS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
VOCABULARY = Vocabulary("".join(sorted(set("".join(WORDS)))), end_of_text=True)
LONGEST = max(map(len, WORDS)) + 1  # the end is written too
N_TRAINING = 1000
N_UNITS = 50
OPTIMIZER = HessianFree(
    damping=LevenbergMarquardt(initial=0.03), structural_damping=0.03, max_cg_iterations=20
)


def spelling_lessons(images: np.ndarray, digits: np.ndarray) -> Batch:
    """Return images as what states start from, and the letters of their words as sequences."""
    symbols = [VOCABULARY.stream([WORDS[digit]]) for digit in digits]
    return Batch.from_sequences(
        [word[:-1] for word in symbols], [word[1:] for word in symbols], initial_inputs=images
    )


def learn(images: np.ndarray, digits: np.ndarray, n_iterations: int):
    """Return a net that has learned to spell, and its parameters."""
    cell = ElmanCell(VOCABULARY.n_symbols, N_UNITS)
    network = SequenceNetwork(
        cell, VOCABULARY.n_symbols, "softmax", n_initial_inputs=images.shape[1], l2=1e-4
    )
    lessons = spelling_lessons(images, digits)
    params = sparse_parameters(
        network, output_bias=mean_target_bias(network, lessons), random_state=0, dtype=np.float32
    )
    with tqdm(total=n_iterations, desc="learning, iterations") as bar:
        state = train(
            network,
            OPTIMIZER,
            Minibatches(lessons, curvature_size=300),
            start(OPTIMIZER, params, 0),
            n_iterations=n_iterations,
            callback=lambda _: bar.update() and False,
        )
    return network, state.params


def spell(network: SequenceNetwork, params: np.ndarray, images: np.ndarray) -> list[str]:
    """Return what the net writes for each image, the likeliest letter each time."""
    end = VOCABULARY.end_symbol
    words = network.generate(params, images, start=end, end=end, max_steps=LONGEST + 5)
    return [VOCABULARY.decode(word) for word in words]


def run(quick: bool, folder: Path) -> list[Figure]:
    """Train, spell, and draw."""
    images, digits = load_digits(return_X_y=True)
    images = ((images - 8) / 8).astype(np.float32)
    training, test = slice(None, N_TRAINING), slice(N_TRAINING, None)
    network, params = learn(images[training], digits[training], 20 if quick else 40)
    spelled = spell(network, params, images[test])
    truth = [WORDS[digit] for digit in digits[test]]
    draw_picture(images[test], spelled, truth, folder / "digit_speller.png")
    regression = LogisticRegression(C=0.1, max_iter=1000).fit(images[training], digits[training])
    right = np.mean([word == true for word, true in zip(spelled, truth, strict=True)])
    return [
        Figure("images spelled right", 100 * float(right), "%", at_least=90),
        Figure("images spelled as no word at all",
               100 * float(np.mean([word not in WORDS for word in spelled])), "%", at_most=5),
        Figure("images told right by logistic regression",
               100 * regression.score(images[test], digits[test]), "%"),
        Figure("weights of the net", network.n_params),
    ]  # fmt: skip


def draw_picture(images: np.ndarray, spelled: list[str], truth: list[str], path: Path) -> None:
    """Draw some images with what the net wrote; mistakes in red."""
    import matplotlib.pyplot as plt

    wrong = [index for index in range(len(truth)) if spelled[index] != truth[index]]
    shown = [*[index for index in range(len(truth)) if index not in wrong][:20], *wrong[:10]]
    figure, axes = plt.subplots(3, 10, figsize=(11, 4.2), layout="constrained")
    for ax in axes.flat:
        ax.set_axis_off()
    for ax, index in zip(axes.flat, shown, strict=False):
        is_right = spelled[index] == truth[index]
        ax.imshow(images[index].reshape(8, 8), cmap="gray_r")
        ax.set_title(spelled[index] if is_right else f"{spelled[index]}\n({truth[index]})",
                     color="black" if is_right else "tab:red", fontsize=10)  # fmt: skip
    figure.suptitle("Shown an image, the net writes a word; last row: mistakes")
    figure.savefig(path, dpi=150)
    plt.close(figure)


def main() -> None:
    """Run the demo from the command line."""
    run_demo(__doc__, run)


if __name__ == "__main__":
    main()
