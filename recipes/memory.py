"""What the memory of an LSTM is for: a symbol is shown once among distractors and asked for up to 1000 steps later.

    asr train recipes/memory.py --data .

Trains 21 small networks with equally many weights on distances up to 200, in a few minutes of one core: LSTMs and
plain RNNs with three initializations and three seeds each, and networks without recurrence with three seeds: the
initializations differ in recurrent weights and gates, and these have neither. Then it asks after every distance and
draws runs/memory/recall.png. The distances grow from epoch to epoch. What the same cells make of speech is shown by
recipes/memory_speech.py, and what a trained recognizer keeps in them while it listens by `asr inspect AUDIO`.
"""

from asr.training.comparison import RecallComparison
from asr.training.loop import Options
from asr.training.recall import RecallRecipe

recipe = RecallComparison(
    name="memory",
    recall=RecallRecipe(
        name="recall",
        weights=6000,
        distances=(10, 10, 20, 50, 100, 200),
        training=Options(
            epochs=7,
            warmup_steps=20,
            averaging=0.98,
            weight_decay=0.0,
            largest_gradient=1.0,
            half_precision=False,
            prefetch=0,
        ),
    ),
    learning_rates=(("lstm", 1e-2), ("rnn", 1e-3), ("none", 1e-3)),
)
