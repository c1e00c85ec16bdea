r"""Nine words of Speech Commands, said by hundreds of people into whatever microphone they had.

    asr data prepare speech_commands --root data --download
    for part in train valid test; do grep -E '"(down|eight|five|go|left|one|right|up|zero)"' \
        data/manifests/speech_commands_$part.jsonl > data/manifests/commands_$part.jsonl; done
    asr train recipes/speech_commands.py --data data --from english-small \
        --set noises=SpeechCommands/speech_commands_v0.02/_background_noise_ --set rooms=

It starts from the shipped model, which knows how English sounds, and learns how these people say nine words. To let it
hear nothing else, the model gets a lexicon of the nine alone:

    for word in down eight five go left one right up zero; do echo $word; done > data/nine.txt
    asr lexicon build --words data/nine.txt --dictionary data/lists/cmudict.dict -o data/words.lexicon
    asr export runs/speech-commands/best.pt runs/speech-commands/model --with data/words.lexicon

`noises` and `rooms` are folders of sounds; the corpus brings noises of its own. The spelling head's tokens are whole
words.
"""

from asr.training.augment import Augmentation
from asr.training.corpus import Mixture
from asr.training.loop import Options
from asr.training.model import Shape
from asr.training.recognizer import RecognizerRecipe

recipe = RecognizerRecipe(
    name="speech-commands",
    train=(("manifests/commands_train.jsonl", 1.0),),
    valid=("manifests/commands_valid.jsonl",),
    test=("manifests/commands_test.jsonl",),
    dictionary="lists/cmudict.dict",
    subwords=512,  # more than there are: whole words
    keep_subwords=False,
    noises="noise",
    rooms="rir",
    shape=Shape(streaming_layers=2, streaming_width=144, second_layers=1, second_width=96, dropout=0.1),  # from scratch
    mixture=Mixture(batch_seconds=50, joined=0.1, from_memory=0.25, noise_seconds=(0.3, 1.0)),
    augmentation=Augmentation(
        speeds=(0.85, 0.9, 0.95, 1.0, 1.05, 1.1, 1.15),
        room=0.05,
        noise=0.3,
        gain=0.4,
        gain_decibels=(-15.0, 10.0),
        telephone=0.0,
        frequency_width=12,
        time_masks_per_second=0.4,
        time_width=0.1,
    ),
    training=Options(epochs=6, learning_rate=1e-3, warmup_steps=50, hold=0.35, averaging=0.99),
)
