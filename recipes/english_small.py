"""The model that ships: English, from some 30 hours of public speech."""

from asr.training.augment import Augmentation
from asr.training.corpus import Mixture
from asr.training.loop import Options
from asr.training.model import Shape
from asr.training.recognizer import RecognizerRecipe

recipe = RecognizerRecipe(
    name="english-small",
    train=(("manifests/train.jsonl", 1.0), ("manifests/labelled.jsonl", 0.3)),
    valid=("manifests/valid.jsonl",),
    dictionary="lists/cmudict.dict",
    g2p="runs/g2p/best.pt",
    subwords=256,
    noises="noise",
    rooms="rir",
    shape=Shape(streaming_layers=3, streaming_width=384, second_layers=1, second_width=384, dropout=0.1),
    mixture=Mixture(batch_seconds=400),
    augmentation=Augmentation(),
    training=Options(epochs=12, learning_rate=2e-3, warmup_steps=150, hold=0.4, weight_decay=0.01),
)
