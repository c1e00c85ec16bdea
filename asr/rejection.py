"""Whether a segment holds speech at all.

A network that hears speech knows in nearly every frame whether a sound begins or nothing does: the probability of its
blank is close to 0 or to 1. A bark, a tune or a sneeze excites it too, but then it wavers. That is measured by the
entropy of this choice for each sounded frame; what leaves more doubt than nearly all of the rightly recognized words of
the speech that a model was tuned on is taken for no speech.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

FREE = 1.0  # nats that the edges of a single word may cost
TRUSTED = 0.999  # of the rightly recognized words of clear speech are certainly kept; their doubt times ...
MARGIN = 1.3  # ... this is allowed, since other speech may be noisier
NEAR = 10  # frames before the first and after the last that surely holds a sound: what lies further off is silence
_LEAST = 1e-6  # probabilities are kept this far from 0 and 1
FIELD = "most_doubt"  # in a model's decoding settings, of each reading


@dataclass(frozen=True)
class Rejection:
    """The most doubt, in nats for each sounded frame, that speech may leave; infinite: everything is speech."""

    first: float = float("inf")  # of what is shown while somebody speaks, or final without a second reading
    second: float = float("inf")  # of what is final

    @classmethod
    def of(cls, decoding: Mapping[str, Mapping[str, Any]]) -> Rejection:
        """From a model's configuration: its decoding settings of both readings."""
        return cls(*(float(decoding.get(reading, {}).get(FIELD, "inf")) for reading in ("first", "second")))


def doubt(blank: Sequence[float] | NDArray[np.floating[Any]]) -> float:
    """The entropy of blank or not, less `FREE`, for each frame that is not blank; `blank`: natural logs [frames]."""
    silence = np.clip(np.exp(np.asarray(blank, np.float64)), _LEAST, 1 - _LEAST)
    sounded = np.flatnonzero(silence < 0.5)
    if len(sounded):
        silence = silence[max(0, sounded[0] - NEAR) : sounded[-1] + NEAR + 1]
    sound = 1 - silence
    entropy = -(silence * np.log(silence) + sound * np.log(sound))
    return float((entropy.sum() - FREE) / sound.sum()) if len(silence) else 0.0


def find_most_doubt(doubts: NDArray[np.float64]) -> float:
    """The doubt to allow, from that of what surrounds each rightly recognized word [words]; infinite without any."""
    return round(MARGIN * float(np.quantile(doubts, TRUSTED)), 3) if len(doubts) else float("inf")
