"""Run the two main demos and print one table of what they measured.

A reservoir generates a sine whose frequency is set by its input; recurrent nets trained by
Hessian-free optimization on 8-bit sums add numbers of a thousand bits. About three minutes. With
--all the other demos follow.
"""

from importlib import import_module

from demos import GALLERY, MAIN
from demos._common import run_demos, title_of

if __name__ == "__main__":
    names = [*MAIN, *(name for name in GALLERY if name not in MAIN)]
    modules = [import_module(f"demos.{name}") for name in names]
    demos = {title_of(module.__doc__): module.run for module in modules}
    run_demos(__doc__, demos, n_main=len(MAIN))
