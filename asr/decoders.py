"""From a model directory to its decoders: lexicon, language models, grapheme-to-phone, weights and calibration."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

from asr.beam import DecoderOptions
from asr.confidence import Calibration
from asr.decoder import Decoder
from asr.errors import ModelError
from asr.g2p import GraphemeToPhone
from asr.grammar import GrammarOptions
from asr.language_model import LanguageModel
from asr.lexicon import Lexicon
from asr.network import Network
from asr.rescoring import Speller
from asr.word_lstm import WordLstm

PHONES, SPELLING = "phones", "spelling"  # heads
LEXICON, LANGUAGE_MODEL, G2P = "words.lexicon", "words.lm", "g2p.onnx"  # files
# Limits of the search without a lexicon, where the configuration does not say: there is little that a beam could find.
OPEN = {"beam": 8, "beam_score": 8.0, "token_score": -4.0}
PREVIEW_BEAM, PREVIEW_BEAM_SCORE = 40, 9.0  # at most, whatever the configuration says of the second reading


def load_decoders(network: Network) -> tuple[Decoder, Decoder]:
    """The decoders of the first and the second reading.

    With a lexicon and a phone head they find its words, with `words.lm` guided by a language model, and with
    `word_lstm.onnx` besides a word LSTM helps to choose among whole readings; otherwise they string the spelling head's
    tokens together. Raises `ModelError` for files that are damaged or do not fit.
    """
    directory, config = network.directory, network.config
    lexicon, g2p, model = None, None, None
    if PHONES in network.heads and (directory / LEXICON).is_file():
        head = PHONES
        lexicon, g2p = load_pronunciations(network)
        model = LanguageModel.load(directory / LANGUAGE_MODEL) if (directory / LANGUAGE_MODEL).is_file() else None
    elif SPELLING in network.heads:
        head = SPELLING
    else:
        raise ModelError(
            f"{directory} has neither a {LEXICON} for its phones nor a spelling head: nothing can decode it."
        )
    speller = Speller(network.heads[SPELLING]) if head != SPELLING and SPELLING in network.heads else None
    word_lstm = WordLstm.load(directory, model) if model is not None else None
    limits = {} if lexicon is not None else OPEN
    decoding, calibration = config.get("decoding", {}), config.get("calibration", {})
    try:
        first, second = (
            Decoder(
                network.heads[head],
                lexicon,
                model,
                decoder_options({**limits, **decoding.get(reading, {})}),
                head,
                g2p,
                Calibration.of(calibration.get(reading, {})),
                GrammarOptions.of(decoding.get("grammar", {})),
                speller,
                word_lstm,
            )
            for reading in ("first", "second")
        )
    except (TypeError, ValueError) as error:
        raise ModelError(f"{directory} does not fit together ({error}): tune or export the model again.") from error
    if any(len(decoder.options.log_priors) not in (0, len(network.heads[head])) for decoder in (first, second)):
        raise ModelError(
            f"{directory} was tuned for other tokens than its {head}: is {LEXICON} missing? Copy it again."
        )
    return first, second


def preview_of(second: Decoder) -> Decoder:
    """The second reading's decoder with a narrower beam: what is shown while somebody speaks is cheap."""
    options = second.options
    beam, score = min(PREVIEW_BEAM, options.beam), min(PREVIEW_BEAM_SCORE, options.beam_score)
    return second.with_options(replace(options, beam=beam, beam_score=score))


def load_pronunciations(network: Network) -> tuple[Lexicon | None, GraphemeToPhone | None]:
    """What a model directory knows about how words sound in its phones, as far as it has it."""
    lexicon_file, g2p_file = network.directory / LEXICON, network.directory / G2P
    if PHONES not in network.heads:
        return None, None
    lexicon = Lexicon.load(lexicon_file) if lexicon_file.is_file() else None
    if lexicon is not None and lexicon.tokens != network.heads[PHONES]:
        raise ModelError(f"{lexicon_file} is made of other sounds than the network's: build the lexicon again.")
    return lexicon, GraphemeToPhone.load(g2p_file) if g2p_file.is_file() else None


def decoder_options(config: Mapping[str, Any]) -> DecoderOptions:
    """Options from a model's configuration; what this version does not know is left out."""
    known: dict[str, Any] = {field.name: config[field.name] for field in fields(DecoderOptions) if field.name in config}
    if "log_priors" in known:
        known["log_priors"] = tuple(known["log_priors"])
    return DecoderOptions(**known)
