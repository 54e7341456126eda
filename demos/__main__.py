"""Run the main demo: a reservoir that generates a sine of the frequency it is told."""

from demos import sine_frequency
from demos._common import run_demo

if __name__ == "__main__":
    run_demo(sine_frequency.__doc__, sine_frequency.run)
