"""A first recognizer in a minute on one core: one man who says yes and no in Hebrew, eight words a recording.

    asr data prepare yesno --root data --download
    asr train recipes/yesno.py --data data

The tokens are the two words. With 30 recordings to learn from none is held out: the error rates shown while it trains
are those on what it learns. A network of this size could learn the 30 recordings by heart; that it is narrow, that its
weights decay and that recordings are joined keeps it listening to the words.
"""

from asr.training.augment import Augmentation
from asr.training.corpus import Mixture
from asr.training.loop import Options
from asr.training.model import Shape
from asr.training.recognizer import RecognizerRecipe

recipe = RecognizerRecipe(
    name="yesno",
    train=(("manifests/yesno_train.jsonl", 1.0),),
    valid=("manifests/yesno_train.jsonl",),
    test=("manifests/yesno_test.jsonl",),
    subwords=32,  # more than there are: whole words
    shape=Shape(streaming_layers=1, streaming_width=48, second_layers=1, second_width=32, dropout=0.2),
    mixture=Mixture(batch_seconds=25, joined=0.4, cut=0.5, noise=0.0),
    augmentation=Augmentation(
        speeds=(0.8, 0.9, 1.0, 1.1, 1.2),
        gain_decibels=(-15.0, 5.0),
        frequency_width=10,
        time_masks_per_second=0.0,
        telephone=0.0,
    ),
    training=Options(
        epochs=110, learning_rate=7e-3, warmup_steps=20, averaging=0.97, half_precision=False, weight_decay=0.1
    ),
)
