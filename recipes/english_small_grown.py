"""A fourth streaming layer on top of english_small_seed.py's network, whose gates begin almost closed."""

from asr.training.augment import Augmentation
from asr.training.corpus import Mixture
from asr.training.loop import Options
from asr.training.model import Shape
from asr.training.recognizer import RecognizerRecipe

recipe = RecognizerRecipe(
    name="english-small-grown",
    train=(("manifests/train.jsonl", 1.0), ("manifests/labelled.jsonl", 0.3)),
    valid=("manifests/valid.jsonl",),
    dictionary="lists/cmudict.dict",
    g2p="runs/g2p/best.pt",
    subwords=256,
    added_layers=1,
    noises="noise",
    rooms="rir",
    reading_weights=(0.65, 0.35),
    shape=Shape(streaming_layers=4, streaming_width=384, second_layers=1, second_width=384, dropout=0.05),
    mixture=Mixture(batch_seconds=200),
    augmentation=Augmentation(
        room=0.15,
        noise=0.25,
        gain=0.6,
        gain_decibels=(-36.0, 12.0),
        telephone=0.08,
        frequency_width=12,
        time_masks_per_second=0.12,
        time_width=0.3,
    ),
    training=Options(epochs=6, learning_rate=1.2e-3, warmup_steps=100, hold=0.4, weight_decay=0.01),
)
