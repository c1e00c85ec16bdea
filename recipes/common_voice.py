"""A language of Common Voice: sentences that volunteers read, on whatever microphone they have.

    asr data prepare common_voice --root data --archive cv-corpus-21.0-2025-03-14-en.tar.gz
    asr train recipes/common_voice.py --data data --set device=cuda

The archive is fetched by hand, with an account. For another language change the line below: no pronunciation
dictionary is needed, since there is a spelling head alone. Text is normalized to the letters a to z (accents are
dropped, figures are read in English), which fits languages in Latin letters; what cannot be spelled so is left out, and
said. It was run on a small corpus in the same layout, never trained in full: its settings are untried at this size.
"""

from asr.training.augment import Augmentation
from asr.training.corpus import Mixture
from asr.training.loop import Options
from asr.training.model import Shape
from asr.training.recognizer import RecognizerRecipe

LANGUAGE = "en"

recipe = RecognizerRecipe(
    name=f"common-voice-{LANGUAGE}",
    train=((f"manifests/common_voice_{LANGUAGE}_train.jsonl", 1.0),),
    valid=(f"manifests/common_voice_{LANGUAGE}_dev.jsonl",),
    test=(f"manifests/common_voice_{LANGUAGE}_test.jsonl",),
    subwords=512,
    shape=Shape(streaming_layers=4, streaming_width=512, second_layers=2, second_width=384, dropout=0.15),
    mixture=Mixture(batch_seconds=800, longest_seconds=15.0),
    augmentation=Augmentation(gain=0.5, gain_decibels=(-20.0, 10.0)),
    training=Options(epochs=40, learning_rate=2e-3, warmup_steps=1000, hold=0.4),
)
