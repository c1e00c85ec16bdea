"""Five hours of read English: a recognizer in an evening on two cores.

    asr data prepare mini_librispeech --root data --download
    asr train recipes/mini_librispeech.py --data data

Three of its 28 speakers are held out to tune on, dev-clean-2 is for the number at the end. With a lexicon and a
language model beside the networks the phones decide, without them the spelling: recipes/README.md shows how.
"""

from asr.training.augment import Augmentation
from asr.training.corpus import Mixture
from asr.training.loop import Options
from asr.training.model import Shape
from asr.training.recognizer import RecognizerRecipe

recipe = RecognizerRecipe(
    name="mini-librispeech",
    train=(("manifests/mini_librispeech_train-clean-5.jsonl", 1.0),),
    held_out=("libri-226", "libri-3242", "libri-6848"),
    test=("manifests/mini_librispeech_dev-clean-2.jsonl",),
    dictionary="lists/cmudict.dict",
    g2p="english-small",
    subwords=128,
    reading_weights=(0.45, 0.55),
    shape=Shape(streaming_layers=3, streaming_width=320, second_layers=1, second_width=256, dropout=0.05),
    mixture=Mixture(batch_seconds=60),
    augmentation=Augmentation(
        gain=0.5, gain_decibels=(-20.0, 10.0), telephone=0.0, frequency_width=15, time_masks_per_second=0.2
    ),
    training=Options(epochs=18, learning_rate=1.6e-3, warmup_steps=200, hold=0.4),
)
