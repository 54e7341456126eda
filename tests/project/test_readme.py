"""What the README says of its examples holds for other seeds too."""

import re
from pathlib import Path

import pytest

README = (Path(__file__).parents[2] / "README.md").read_text()


@pytest.mark.parametrize("seed", range(1, 9))
def test_the_echo_state_network_forecasts_well_for_every_seed(seed):
    (example,) = re.findall(r"## An echo state network.*?```python\n(.*?)```", README, re.DOTALL)
    lines = [line[4:] for line in example.splitlines() if line.startswith((">>> ", "... "))]
    code = "\n".join(lines).replace("bool(", "claims.append(")
    assert code.count("random_state=0)\n") == 2  # of the series, and of the network
    code = code.replace("alpha=1e-8, random_state=0", f"alpha=1e-8, random_state={seed}")
    claims = []
    exec(code, {"claims": claims})
    assert len(claims) == 2
    assert all(claims)
