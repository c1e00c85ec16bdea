r"""The shipped model for new voices, words or rooms: your own half hour of recordings, or any corpus.

    asr data prepare folder --root data                    # each x.wav with its text in x.txt
    asr data split data/manifests/folder_all.jsonl data/manifests/finetune_valid.jsonl \
        data/manifests/finetune_train.jsonl --utterances 30
    asr train recipes/finetune.py --data data --from english-small

How words sound says CMUdict: its file cmudict.dict goes into data/lists (recipes/README.md, Data).
A learning rate that only falls, so that little is forgotten; the network keeps the shape of the one it starts from,
and the model its words. The measured example is speech of Mandarin speakers; those it is tested on are listed in
nonnative_test_speakers.txt, no model that ships may learn from them (recipes/README.md).
"""

from asr.training.augment import Augmentation
from asr.training.corpus import Mixture
from asr.training.loop import Options
from asr.training.model import Shape
from asr.training.recognizer import RecognizerRecipe

recipe = RecognizerRecipe(
    name="finetune",
    train=(("manifests/finetune_train.jsonl", 1.0),),
    valid=("manifests/finetune_valid.jsonl",),
    dictionary="lists/cmudict.dict",
    g2p="english-small",
    shape=Shape(dropout=0.1),  # all else of the shape is that of the network it starts from
    mixture=Mixture(batch_seconds=100),
    augmentation=Augmentation(gain=0.5, gain_decibels=(-20.0, 10.0), frequency_width=12, time_masks_per_second=0.12),
    training=Options(epochs=10, learning_rate=1e-3, warmup_steps=50, hold=0.1, averaging=0.995),
)
