"""How well speech is recognized: error rates over a manifest, reports, and whether one result is better than another.

Scoring rules. Reference and hypothesis are both normalized by `asr.text.normalize`: lower case, no marks, figures
written out; an utterance whose reference cannot be normalized is left out and counted. A word is what stands between
spaces, apostrophes included. Characters are those of the normalized text, spaces included. Phones are the best path of
a phone head against the first pronunciation of each word in the dictionary, or the grapheme-to-phone network's for
words that it lacks. An error rate is substitutions + deletions + insertions over the length of the reference, of the
cheapest alignment (Levenshtein, 1966), summed over utterances before dividing.
"""

from asr.evaluate.compare import Comparison, compare
from asr.evaluate.outcome import Evaluation, Settings, UtteranceResult, groups, load_evaluation, save_evaluation
from asr.evaluate.run import evaluate
from asr.evaluate.scores import Pair, Score, align

__all__ = [
    "Comparison",
    "Evaluation",
    "Pair",
    "Score",
    "Settings",
    "UtteranceResult",
    "align",
    "compare",
    "evaluate",
    "groups",
    "load_evaluation",
    "save_evaluation",
]
