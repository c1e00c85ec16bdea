"""What else might have been said: the denominator of a sequence-discriminative loss over phones.

CTC with a language model over labels as a conditional random field (CTC-CRF: Xiang and Ou, 2019). CTC raises the
score of what was said in every frame by itself; here the whole transcript competes with every other phone sequence,
each as likely as a phone bigram makes it. Over some 40 phones that sum is a small dense recursion.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor


class PhoneBigram:
    """Which phone follows which, counted in the training transcripts; Witten-Bell smoothing (1991).

    Attributes:
        follow: probability of the next phone, [history, phone]; row 0 is the beginning, column 0 (blank) is nought
        end: probability that nothing follows, [history]
    """

    def __init__(self, rows: Sequence[Sequence[int]], tokens: int) -> None:
        counts = torch.zeros(tokens, tokens, dtype=torch.float64)  # [history, next]; next 0 is the end
        for row in rows:
            if row:
                path = torch.tensor([0, *row, 0])
                counts.index_put_((path[:-1], path[1:]), torch.ones((), dtype=torch.float64), accumulate=True)
        single = counts.sum(0) + 1.0
        seen, kinds = counts.sum(1, keepdim=True), (counts > 0).sum(1, keepdim=True).clamp(min=1)
        smooth = (counts + kinds * single / single.sum()) / (seen + kinds)
        self.end = smooth[:, 0].float()
        self.follow = smooth.float()
        self.follow[:, 0] = 0.0

    def score(self, row: Sequence[int]) -> float:
        """Log probability of a phone sequence."""
        path = torch.tensor([0, *row])
        return float(self.follow[path[:-1], path[1:]].log().sum() + self.end[path[-1]].log())


class _LogSum(torch.autograd.Function):
    """Forwards and backwards over frames, with probabilities that are scaled in each frame to sum to one.

    A path is in the last phone (`inside`) or in the blanks after it (`after`), [batch, phone]; a phone repeats
    without cost while it sounds, and the same phone again needs a blank between.
    """

    @staticmethod
    def forward(ctx: Any, log_probs: Tensor, lengths: Tensor, follow: Tensor, end: Tensor) -> Tensor:
        batch, frames, tokens = log_probs.shape
        peak = log_probs.amax(2, keepdim=True)
        emit = (log_probs - peak).exp()  # [batch, frames, tokens]
        running = (torch.arange(frames, device=lengths.device) < lengths[:, None]).to(emit.dtype)  # [batch, frames]
        total = (peak[:, :, 0] * running).sum(1)
        again = follow.diagonal()
        inside, after = emit.new_zeros(batch, tokens), emit.new_zeros(batch, tokens)
        after[:, 0] = 1.0
        paths = emit.new_empty(frames, 2, batch, tokens)
        scales = emit.new_empty(frames, batch, 1)
        for frame in range(frames):
            now, both = emit[:, frame], inside + after
            inside = now * (both @ follow + inside * (1 - again))
            after = now[:, :1] * both
            inside[:, 0] = 0.0
            scale = (inside + after).sum(1, keepdim=True)
            scales[frame] = scale
            inside, after = inside / scale, after / scale
            paths[frame, 0], paths[frame, 1] = inside, after
        total = total + (scales[:, :, 0].log() * running.T).sum(0)
        last = paths.sum(1)[(lengths - 1).clamp(min=0), torch.arange(batch, device=lengths.device)]
        ctx.save_for_backward(emit, lengths, follow, end, paths)
        return total + (last @ end).log()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None]:
        emit, lengths, follow, end, paths = ctx.saved_tensors
        batch, frames, tokens = emit.shape
        again, back = follow.diagonal(), follow.T.contiguous()
        shares = torch.zeros_like(emit)  # posterior probability of each token in each frame
        inside, after = end.expand(batch, tokens), end.expand(batch, tokens)
        for frame in range(frames - 1, -1, -1):
            share = paths[frame, 0] * inside
            share[:, 0] = (paths[frame, 1] * after).sum(1)
            shares[:, frame] = share / share.sum(1, keepdim=True)
            now = emit[:, frame]
            heard = now * inside
            heard[:, 0] = 0.0
            blank = now[:, :1] * after
            follows = heard @ back
            next_inside = follows + heard * (1 - again) + blank
            next_after = follows + blank
            scale = (next_inside + next_after).sum(1, keepdim=True)
            ended = (frame >= lengths)[:, None]  # behind the row's end everything stays as at its end
            inside = torch.where(ended, end, next_inside / scale)
            after = torch.where(ended, end, next_after / scale)
        running = torch.arange(frames, device=lengths.device) < lengths[:, None]
        return torch.where(running[:, :, None], shares, 0.0) * gradient[:, None, None], None, None, None


def log_sum(log_probs: Tensor, lengths: Tensor, phones: PhoneBigram) -> Tensor:
    """Log of the summed scores of all phone sequences, each weighed by the bigram. [batch, frames, tokens] -> [batch]

    `lengths` in frames, at least 1. Differentiable; the gradient is each token's posterior in each frame.
    """
    device = log_probs.device
    follow, end = phones.follow.to(device), phones.end.to(device)
    total: Tensor = _LogSum.apply(log_probs.float(), lengths.to(device), follow, end)
    return total


def rivals(log_probs: Tensor, lengths: Tensor, rows: Sequence[Sequence[int]], phones: PhoneBigram) -> Tensor:
    """Summed log of all phone sequences' scores over the bigram's of what was said; rows too short count nothing.

    Added to the CTC loss of the same batch it gives the CTC-CRF loss.
    """
    needed = [len(row) + sum(a == b for a, b in itertools.pairwise(row)) for row in rows]
    fits = torch.tensor(needed, device=log_probs.device) <= lengths.to(log_probs.device)
    said = torch.tensor([phones.score(row) for row in rows], device=log_probs.device)
    return torch.where(fits, log_sum(log_probs, lengths, phones) - said, 0.0).sum()
