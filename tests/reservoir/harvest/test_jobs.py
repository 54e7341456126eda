"""Training sequences cut into jobs, and blocks of rows that lie across jobs."""

import numpy as np
import pytest

from reservoir.harvest import TrainingSequence
from reservoir.harvest._jobs import cut_into_jobs


@pytest.mark.parametrize("n_jobs", [1, 2, 3, 7])
@pytest.mark.parametrize("n_blocks", [1, 4])
def test_each_row_is_in_one_job_and_in_its_block(rng, n_jobs, n_blocks):
    lengths = [5, 1, 9, 3, 12]
    sequences = [TrainingSequence(inputs=np.zeros((n, 1)), targets=np.zeros(n)) for n in lengths]
    jobs = cut_into_jobs(sequences, n_blocks=n_blocks, n_jobs=n_jobs)
    assert [one for job in jobs for one in job.sequences] == sequences
    assert 1 <= len(jobs) <= n_jobs
    blocks = []
    for job in jobs:
        rows = np.arange(sum(len(one.inputs) for one in job.sequences))
        blocks += (np.searchsorted(job.edges, rows, side="right") - 1).tolist()
    edges = np.linspace(0, 30, n_blocks + 1).astype(int)
    assert blocks == np.repeat(np.arange(n_blocks), np.diff(edges)).tolist()


def test_jobs_have_about_equally_many_rows():
    sequences = [TrainingSequence(inputs=np.zeros((2, 1)), targets=np.zeros(2)) for _ in range(12)]
    jobs = cut_into_jobs(sequences, n_blocks=1, n_jobs=3)
    assert [len(job.sequences) for job in jobs] == [4, 4, 4]
