"""Run the main demo: a reservoir that generates a sine of the frequency it is told."""

from demos import sine_frequency

if __name__ == "__main__":
    sine_frequency.main()
