r"""A hundred hours of read English: LibriSpeech train-clean-100.

    asr data prepare librispeech --root data --download --part train-clean-100 \
        --part dev-clean --part dev-other --part test-clean --part test-other
    asr train recipes/librispeech_100h.py --data data --set device=cuda

Noises and rooms make it ready for more than books: --set noises=FOLDER --set rooms=FOLDER. It was run on a small corpus
in the same layout, never trained in full: its settings are untried at this size.
"""

from asr.training.augment import Augmentation
from asr.training.corpus import Mixture
from asr.training.loop import Options
from asr.training.model import Shape
from asr.training.recognizer import RecognizerRecipe

recipe = RecognizerRecipe(
    name="librispeech-100h",
    train=(("manifests/librispeech_train-clean-100.jsonl", 1.0),),
    valid=("manifests/librispeech_dev-clean.jsonl", "manifests/librispeech_dev-other.jsonl"),
    test=("manifests/librispeech_test-clean.jsonl", "manifests/librispeech_test-other.jsonl"),
    dictionary="lists/cmudict.dict",
    g2p="english-small",
    subwords=512,
    shape=Shape(streaming_layers=4, streaming_width=512, second_layers=2, second_width=384, dropout=0.2),
    mixture=Mixture(batch_seconds=800),
    augmentation=Augmentation(gain=0.5, gain_decibels=(-20.0, 10.0), telephone=0.03),
    training=Options(epochs=40, learning_rate=2e-3, warmup_steps=1000, hold=0.4),
)
