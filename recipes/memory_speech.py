"""What memory is worth for speech: an LSTM, a plain RNN and no recurrence, with equally many weights, on five hours.

    asr data prepare mini_librispeech --root data --download
    asr train recipes/memory_speech.py --data data

Each is a small recognizer in a folder of its own (runs/memory-speech/lstm, rnn and none), tuned on three held-out
speakers; at the end their losses and phone errors stand side by side in runs/memory-speech/speech.png, and a table says
how many phones of dev-clean-2 each gets wrong.
"""

from asr.training.augment import Augmentation
from asr.training.comparison import SpeechComparison
from asr.training.corpus import Mixture
from asr.training.loop import Options
from asr.training.model import Shape
from asr.training.recognizer import RecognizerRecipe

recipe = SpeechComparison(
    name="memory-speech",
    speech=RecognizerRecipe(
        name="speech",
        train=(("manifests/mini_librispeech_train-clean-5.jsonl", 1.0),),
        held_out=("libri-226", "libri-3242", "libri-6848"),
        test=("manifests/mini_librispeech_dev-clean-2.jsonl",),
        dictionary="lists/cmudict.dict",
        g2p="english-small",
        subwords=128,
        head_weights=(0.8, 0.2),
        shape=Shape(streaming_layers=2, streaming_width=256, second_layers=1, second_width=128, dropout=0.05),
        mixture=Mixture(batch_seconds=60),
        augmentation=Augmentation(
            gain=0.5, gain_decibels=(-20.0, 10.0), telephone=0.0, frequency_width=12, time_masks_per_second=0.1
        ),
        training=Options(epochs=10, warmup_steps=100, hold=0.4),
    ),
    learning_rates=(("lstm", 2.4e-3), ("rnn", 8e-4), ("none", 2.4e-3)),
)
