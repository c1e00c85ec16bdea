"""Marks and capitals: the tagger that makes recognized words readable, from books and everyday text as written."""

from asr.training.loop import Options
from asr.training.punctuation import TaggerRecipe, TaggerShape

recipe = TaggerRecipe(
    name="punctuation",
    text="text",
    books=0.5,
    epoch_words=1_000_000,
    batch_words=4096,
    shape=TaggerShape(buckets=16384, embedding=64, width=128, layers=2, dropout=0.05),
    training=Options(epochs=15, learning_rate=4e-3, warmup_steps=100, hold=0.3, averaging=0.995, weight_decay=0.0),
)
