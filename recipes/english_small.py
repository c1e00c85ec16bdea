"""What the shipped model goes on with: English, from some 30 hours of public speech.

    asr train recipes/english_small_seed.py --data DATA
    asr train recipes/english_small_grown.py --data DATA --from runs/english-small-seed/best.pt
    asr train recipes/english_small.py --data DATA --from runs/english-small-grown/best.pt

A small network learns fast; a fourth streaming layer is put on top of it when it begins to learn slowly. Then batches
become small, an epoch has more steps, and augmentation grows harder. This last page was not run to its end yet.
"""

from asr.training.augment import Augmentation
from asr.training.corpus import Mixture
from asr.training.loop import Options
from asr.training.model import Shape
from asr.training.recognizer import RecognizerRecipe

recipe = RecognizerRecipe(
    name="english-small",
    train=(("manifests/train.jsonl", 1.0), ("manifests/labelled.jsonl", 0.5)),
    valid=("manifests/valid.jsonl",),
    dictionary="lists/cmudict.dict",
    g2p="runs/g2p/best.pt",
    subwords=256,
    noises="noise",
    rooms="rir",
    reading_weights=(0.55, 0.45),
    shape=Shape(streaming_layers=4, streaming_width=384, second_layers=1, second_width=384, dropout=0.0),
    mixture=Mixture(batch_seconds=60),
    augmentation=Augmentation(
        speeds=(0.9, 1.0, 1.1, 1.25),
        room=0.15,
        noise=0.25,
        gain=0.6,
        gain_decibels=(-36.0, 12.0),
        telephone=0.12,
        opus=0.1,
        frequency_width=12,
        time_masks_per_second=0.06,
        time_width=0.3,
    ),
    training=Options(epochs=2, learning_rate=1e-3, warmup_steps=100, hold=0.35, weight_decay=0.01),
)
