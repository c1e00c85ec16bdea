"""The sum over all phone sequences, against counting them one by one."""

from __future__ import annotations

import itertools
import math

import pytest

torch = pytest.importorskip("torch", reason="training needs the train extra")

from asr.training.denominator import PhoneBigram, log_sum, rivals
from asr.training.recognizer import ctc

TOKENS = 3
BIGRAM = PhoneBigram([[1, 2, 1], [2, 2], [1], [2, 1, 1]], TOKENS)


def counted(log_probs: torch.Tensor) -> torch.Tensor:
    """[frames, tokens]: every path, its repeats and blanks removed, weighed by the bigram."""
    terms = []
    for path in itertools.product(range(TOKENS), repeat=len(log_probs)):
        said = [now for before, now in zip([0, *path], path, strict=False) if now and now != before]
        terms.append(log_probs[torch.arange(len(path)), torch.tensor(path)].sum() + BIGRAM.score(said))
    return torch.logsumexp(torch.stack(terms), 0)


def test_the_bigram_sums_to_one() -> None:
    assert torch.allclose(BIGRAM.follow.sum(1) + BIGRAM.end, torch.ones(TOKENS))
    assert BIGRAM.score([2, 1]) > BIGRAM.score([2, 1, 2, 1])


def test_sum_and_gradient_are_those_of_all_paths_counted() -> None:
    torch.manual_seed(1)
    scores = (3 * torch.randn(3, 5, TOKENS)).requires_grad_()
    lengths = torch.tensor([5, 3, 1])
    found = log_sum(scores.log_softmax(-1), lengths, BIGRAM)
    expected = torch.stack([counted(row.log_softmax(-1)[:length]) for row, length in zip(scores, lengths, strict=True)])
    assert torch.allclose(found, expected, atol=1e-5)
    weights = torch.tensor([1.0, -2.0, 0.5])
    ours, theirs = (torch.autograd.grad((value * weights).sum(), scores)[0] for value in (found, expected))
    assert torch.allclose(ours, theirs, atol=1e-5)


def test_what_was_said_is_never_likelier_than_all_that_might_have_been() -> None:
    torch.manual_seed(2)
    log_probs = (20 * torch.randn(1, 40, TOKENS)).log_softmax(-1)
    said = [[1, 2, 2, 1]]
    loss = ctc(log_probs, torch.tensor([40]), said) + rivals(log_probs, torch.tensor([40]), said, BIGRAM)
    assert loss > 0 and math.isfinite(loss)
    assert rivals(log_probs[:, :4], torch.tensor([4]), said, BIGRAM) == 0  # it needs five frames
