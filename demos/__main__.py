"""Run the two main demos and print one table of what they measured.

A reservoir generates a sine whose frequency is set by its input; recurrent nets trained by
Hessian-free optimization on 8-bit sums add numbers of a thousand bits. About three minutes.
"""

from demos import binary_addition, sine_frequency
from demos._common import run_demos, title_of

if __name__ == "__main__":
    run_demos(
        __doc__,
        {title_of(demo.__doc__): demo.run for demo in (sine_frequency, binary_addition)},
    )
