"""How English words are said: letters to phones, from CMUdict."""

from asr.training.g2p import G2pRecipe, G2pShape
from asr.training.loop import Options

recipe = G2pRecipe(
    name="g2p",
    dictionary="lists/cmudict.dict",
    shape=G2pShape(width=160, layers=2),
    training=Options(epochs=8, learning_rate=3e-3, hold=0.2, averaging=0.995, weight_decay=0.001),
)
