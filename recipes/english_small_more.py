"""english-small 0.4.0: the networks of 0.3.1 go on, on more everyday speech, with more codecs, tempos and rooms.

    asr train recipes/english_small_more.py --data DATA --from english-small

What is in the manifests says recipes/README.md, and how long it took on one core.
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
        ("manifests/common_voice_1.jsonl", 1.0),
    ),
    valid=("manifests/valid.jsonl",),
    dictionary="lists/cmudict.dict",
    g2p="english-small",
    subwords=256,
    noises="noise",
    rooms="rir",
    shape=Shape(streaming_layers=5, streaming_width=512, second_layers=1, second_width=448, dropout=0.15),
    mixture=Mixture(batch_seconds=120, joined=0.35),
    augmentation=Augmentation(
        speeds=(0.9, 1.0, 1.0, 1.1),
        tempos=(1.0, 1.0, 1.0, 1.0, 1.2, 1.4, 1.5),
        room=0.3,
        noise=0.3,
        gain=0.6,
        gain_decibels=(-36.0, 12.0),
        telephone=0.08,
        opus=0.15,
        opus_kilobits=(6.0, 9.0),
        frequency_width=16,
        time_masks_per_second=0.15,
        time_width=0.3,
        growth_epochs=0.0,
    ),
    training=Options(epochs=0.8, learning_rate=3.5e-4, warmup_steps=30, hold=0.0),
)
