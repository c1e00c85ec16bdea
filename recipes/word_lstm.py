"""Which words follow which, over whole sentences: the LSTM that has a say in what the shipped model writes.

    asr train recipes/word_lstm.py --data DATA
    asr export runs/word-lstm/best.pt MODEL

Where the texts come from says recipes/README.md. Of each the given part of the lines is taken.
"""

from asr.training.loop import Options
from asr.training.word_lstm import Text, WordLstmRecipe, WordLstmShape

recipe = WordLstmRecipe(
    name="word-lstm",
    texts=(
        Text("text/books.txt", 0.1),
        Text("text/books-1.txt.xz", 0.15),
        Text("text/books-2.txt.xz", 0.15),
        Text("text/everyday.txt.xz", 0.8),
        Text("text/transcripts.txt"),
    ),
    held_out=("text/heldout-books.txt", "text/heldout-everyday.txt"),
    shape=WordLstmShape(dropout=0.0),
    training=Options(epochs=0.85, learning_rate=3e-3, hold=0.2, weight_decay=0.0),
)
