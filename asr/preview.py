"""The second reading ahead of its time, for what is shown while somebody speaks.

A bidirectional LSTM need not wait for the end of a segment: here it reads piece by piece, forwards from half a second
before and backwards from a few frames after each (latency-controlled: Zhang et al., 2016). That costs the same however
long the segment is, and what is shown differs less from what is final than what the first reading would show. Pieces
are counted from the segment's first frame, so that nothing depends on when somebody looks.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from asr.greedy import Decoder
from asr.network import Network

PIECE = 5  # frames that are read at once
AHEAD = 6  # frames that follow them
BEHIND = 12  # frames before them

Floats = NDArray[np.float32]


def read_ahead(
    network: Network, decoder: Decoder[Any], state: Any, hidden: Sequence[Floats], first: int, done: int
) -> tuple[Any, int]:
    """The decoder's state after all pieces that can be read by now, and over how many frames that is.

    `hidden` holds hidden states [width] of the streaming layers, the segment's from place `first` on; `state` is the
    decoder's over its first `done` frames.
    """
    while (stop := first + done + PIECE + AHEAD) <= len(hidden):
        start = max(0, first + done - BEHIND)
        heard = network.second(np.stack(hidden[start:stop]))[decoder.head]
        own = first + done - start
        state = decoder.step(state, heard[own : own + PIECE])
        done += PIECE
    return state, done
