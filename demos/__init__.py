"""Demos: each module answers one question; `python -m demos` runs the main ones.

Each has a page in the gallery of the documentation, with the picture `docs/_static/<name>.png`,
which `python -m demos.<name> --output docs/_static` draws.
"""

MAIN = ("sine_frequency", "binary_addition")

# What the picture of each demo shows, in the order of the gallery.
GALLERY = {
    "sine_frequency": "What is asked for, what the network generates, its errors, and the sweep.",
    "forecasting": "Passengers, carbon dioxide and the Nile: forecasts, intervals, and what came.",
    "mackey_glass": "A free run of 84 steps, and the errors of all seeds against the steps ahead.",
    "lorenz": "A free run, coordinate by coordinate, and the valid times of all runs.",
    "nvar": "Four forecasts, each beside the truth, and the valid times of all starts.",
    "spatial": "A chaotic field, its forecast, and the difference between them.",
    "reaction_diffusion": "Waves on a grid, their forecast, and the error, at three times.",
    "narma": "A stretch of the test series, and the errors of both kinds of readout.",
    "sweep": "The views of many, two and one parameter, and the errors on series not searched on.",
    "deep": "The errors of four arrangements of 300 units, and a stretch of the test steps.",
    "online_learning": "Errors while a filter drifts; before, in and after FORCE learning.",
    "conceptors": "Four patterns recalled, what conceptors let through, and a morph.",
    "classification": "The least certain digits, the confusions, and whether probabilities hold.",
    "diagnostics": "Memory, processing capacity, echo state index and Lyapunov exponent.",
    "memory": "Errors on a series, and bits kept of a symbol, over the size of each memory.",
    "compare": "Loss and wrong answers of four ways against seconds and passes.",
    "autoencoder": "Test errors against processor time, and digits that went through the code.",
    "binary_addition": "One sum bit by bit, the losses, and the hidden states of both nets.",
    "gradient_flow": "Error signals on their way back, and training with and without clipping.",
    "behaviours": "Three free nets, how far their runs part, and attractors that a net learned.",
    "characters": "What an LSTM writes as it learns, and memory cells that follow the text.",
    "name_tagger": "How surely each word of nine sentences is a name.",
    "digit_speller": "Digits with the words that the net writes for them, and its mistakes.",
}

# The package that a demo needs beside those of the toolkit; where it is missing the demo says so.
NEEDED = {"autoencoder": "torch"}
