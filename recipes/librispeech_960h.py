"""All of LibriSpeech, 960 hours, on several GPUs: the same batches as on one.

    asr data prepare librispeech --root data --download
    torchrun --nproc-per-node 4 -m asr.training recipes/librispeech_960h.py --data data --set device=cuda

The audio takes 110 GB as a packed cache of 16-bit samples; --set cache=FOLDER says where. Where memory is short,
--set accumulate=4 computes each batch in four pieces. It was run on a small corpus in the same layout, never trained in
full: its settings are untried at this size.
"""

from asr.training.augment import Augmentation
from asr.training.corpus import Mixture
from asr.training.loop import Options
from asr.training.model import Shape
from asr.training.recognizer import RecognizerRecipe

recipe = RecognizerRecipe(
    name="librispeech-960h",
    train=(
        ("manifests/librispeech_train-clean-100.jsonl", 1.0),
        ("manifests/librispeech_train-clean-360.jsonl", 1.0),
        ("manifests/librispeech_train-other-500.jsonl", 1.0),
    ),
    valid=("manifests/librispeech_dev-clean.jsonl", "manifests/librispeech_dev-other.jsonl"),
    test=("manifests/librispeech_test-clean.jsonl", "manifests/librispeech_test-other.jsonl"),
    dictionary="lists/cmudict.dict",
    g2p="english-small",
    subwords=1024,
    shape=Shape(streaming_layers=5, streaming_width=768, second_layers=2, second_width=640, dropout=0.1),
    mixture=Mixture(batch_seconds=3200),
    augmentation=Augmentation(gain=0.5, gain_decibels=(-20.0, 10.0), telephone=0.03),
    training=Options(epochs=30, learning_rate=2e-3, warmup_steps=3000, hold=0.3, averaging=0.999),
)
