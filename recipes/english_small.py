"""The model that ships: English, from some 37 hours of public speech, in one training on a GPU.

    asr train recipes/english_small.py --data DATA --set device=cuda

What is in the four manifests says recipes/README.md. It was never run without a GPU in this shape.
"""

from asr.training.augment import Augmentation
from asr.training.corpus import Mixture
from asr.training.loop import Options
from asr.training.model import Shape
from asr.training.recognizer import RecognizerRecipe

recipe = RecognizerRecipe(
    name="english-small",
    train=(
        ("manifests/train.jsonl", 1.0),
        ("manifests/labelled.jsonl", 1.0),
        ("manifests/more_librispeech.jsonl", 1.0),
        ("manifests/more_speech.jsonl", 1.0),
    ),
    valid=("manifests/valid.jsonl",),
    dictionary="lists/cmudict.dict",
    g2p="english-small",
    subwords=256,
    noises="noise",
    rooms="rir",
    shape=Shape(streaming_layers=5, streaming_width=512, second_layers=1, second_width=448, dropout=0.15),
    mixture=Mixture(batch_seconds=800),
    augmentation=Augmentation(
        speeds=(0.9, 1.0, 1.0, 1.1, 1.2, 1.4),
        room=0.2,
        noise=0.3,
        gain=0.6,
        gain_decibels=(-36.0, 12.0),
        telephone=0.12,
        opus=0.03,
        frequency_width=16,
        time_masks_per_second=0.15,
        time_width=0.3,
    ),
    training=Options(
        epochs=35,
        learning_rate=2e-3,
        warmup_steps=300,
        hold=0.35,
        workers=14,
        prefetch=3,
        epochs_between_validations=5,
    ),
)
