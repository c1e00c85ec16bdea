"""What the network is taught with: units, batches, augmentation and the packed cache."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs torch: pip install '.[train]'")

from hypothesis import given
from hypothesis import strategies as st

from asr.audio import read_audio, through_opus
from asr.errors import AsrError
from asr.g2p import PHONES
from asr.lexicon import read_dictionary
from asr.training import augment
from asr.training.cache import AudioCache, build_cache
from asr.training.corpus import Dropped, Mixture, plan_epoch, read_corpus, speech_edges
from asr.training.recognizer import pronunciations
from asr.training.units import learn_subwords

DATA = Path(__file__).parent / "data"


def test_subwords_of_a_case_computed_by_hand() -> None:
    # letters a b, ▁a ▁b; pairs: "▁ab" 3 times, "ba" 1 time
    subwords = learn_subwords(["ab ab aba"], 6)
    assert subwords.tokens == ("a", "b", "▁a", "▁b", "▁ab", "▁aba")
    assert [subwords.tokens[number - 1] for number in subwords.encode("aba abab ba")] == [
        "▁aba", "▁aba", "b", "▁b", "a",
    ]  # fmt: skip
    with pytest.raises(AsrError, match="'xab' holds 'x'"):
        subwords.encode("xab")
    with pytest.raises(AsrError, match="fewer than the alphabet"):
        learn_subwords(["ab"], 3)


@given(st.lists(st.text("abc", min_size=1, max_size=8), min_size=1, max_size=8))
def test_subwords_spell_the_text_again(words: list[str]) -> None:
    subwords = learn_subwords(["cab abc bca", " ".join(words)], 20)
    tokens = [subwords.tokens[number - 1] for number in subwords.encode(" ".join(words))]
    assert "".join(tokens).replace("▁", " ").split() == words


def test_a_dictionary_is_read_without_stress_and_comments(tmp_path: Path) -> None:
    path = tmp_path / "some.dict"
    path.write_text("read R EH1 D\nread(2) R IY1 D # present\nread(3) R IY0 D\n'em AH0 M\n")
    assert read_dictionary(path, PHONES) == {"read": [("R", "EH", "D"), ("R", "IY", "D")], "'em": [("AH", "M")]}
    path.write_text("read R EH1 D\nodd QQ\n")
    with pytest.raises(AsrError, match="odd QQ"):
        read_dictionary(path, PHONES)


DURATIONS = list(np.random.default_rng(0).uniform(1, 20, 300))
MIXTURE = Mixture(batch_seconds=100)


def test_a_plan_follows_from_seed_and_epoch_and_holds_every_utterance_once() -> None:
    plan = plan_epoch(DURATIONS, [1.0] * 300, MIXTURE, seed=5, epoch=2)
    assert plan == plan_epoch(DURATIONS, [1.0] * 300, MIXTURE, seed=5, epoch=2)
    assert plan != plan_epoch(DURATIONS, [1.0] * 300, MIXTURE, seed=5, epoch=3)
    pieces = [piece for batch in plan for example in batch for piece in example.pieces]
    assert sorted(pieces) == list(range(300))
    for batch in plan:
        assert len(batch) == 1 or max(example.seconds for example in batch) * len(batch) <= 100
    examples = [example for batch in plan for example in batch]
    assert sum(len(example.pieces) == 2 for example in examples) > 10
    assert sum(not example.pieces for example in examples) == round(0.04 * sum(bool(e.pieces) for e in examples))
    assert 0.4 < np.mean([example.from_memory for example in examples]) < 0.6


def test_the_first_epoch_goes_from_short_to_long_and_shares_are_kept() -> None:
    longest = [max(e.seconds for e in batch) for batch in plan_epoch(DURATIONS, [1.0] * 300, MIXTURE, 5, 0)]
    assert longest == sorted(longest)
    present = [p for batch in plan_epoch(DURATIONS, [0.3] * 300, MIXTURE, 5, 1) for e in batch for p in e.pieces]
    assert 60 < len(present) < 120


def test_noise_is_mixed_at_the_ratio_asked_for() -> None:
    random = np.random.default_rng(1)
    speech, noise = (random.standard_normal(16000).astype(np.float32) for _ in range(2))
    added = augment.mix(speech, 0.01 * noise, 10.0) - speech
    assert 20 * np.log10(augment.level(speech) / augment.level(added)) == pytest.approx(10.0, abs=0.01)


def test_a_room_moves_nothing_in_time_and_keeps_the_level() -> None:
    speech = read_audio(DATA / "monday.opus")
    room = np.zeros(8000, np.float32)
    room[24], room[4000] = 1.0, 0.3  # the direct sound 1.5 ms late, and an echo
    heard = augment.reverberate(speech, room)
    assert len(heard) == len(speech)
    assert augment.level(heard) == pytest.approx(augment.level(speech), rel=1e-3)
    assert np.argmax(np.correlate(heard[8000:24000], speech[8000:24000], "full")) == 15999
    alone = augment.reverberate(speech, np.eye(1, 100, 24, dtype=np.float32)[0])
    np.testing.assert_allclose(alone, speech, atol=1e-4)


def test_words_that_the_dictionary_lacks_are_pronounced_by_a_model(tmp_path: Path) -> None:
    dictionary = tmp_path / "cmudict.dict"
    dictionary.write_text("cat K AE1 T\n")
    said = pronunciations(["bat", "cat"], dictionary, "english-small")
    assert said == {"bat": ("B", "AE", "T"), "cat": ("K", "AE", "T")}
    with pytest.raises(AsrError, match="lacks 1 words"):
        pronunciations(["bat", "cat"], dictionary, "")


def test_opus_keeps_the_voice_in_its_place_and_drops_what_few_bits_cannot_hold() -> None:
    speech = read_audio(DATA / "monday.opus")
    coded = through_opus(speech, 6.0)
    assert coded.shape == speech.shape and coded.dtype == np.float32
    assert np.corrcoef(speech, coded)[0, 1] > 0.8 > 0.5 > np.corrcoef(speech[40:], coded[:-40])[0, 1]
    better = through_opus(speech, 24.0)
    assert np.square(better - speech).mean() < 0.2 * np.square(coded - speech).mean()
    always = augment.Augmentation(noise=0, room=0, gain=0, telephone=0, opus=1.0)
    heard = augment.Acoustics(always, [], [])(speech, np.random.default_rng(1))
    assert np.square(heard - speech).mean() > np.square(better - speech).mean()


def test_a_telephone_passes_no_high_frequencies() -> None:
    speech = read_audio(DATA / "monday.opus")
    spectrum = np.abs(np.fft.rfft(augment.telephone(speech))) ** 2
    hertz = np.fft.rfftfreq(len(speech), 1 / 16000)
    assert spectrum[hertz > 4000].sum() < 1e-2 * spectrum.sum()


def test_edges_of_speech() -> None:
    samples = np.zeros(32000, np.float32)
    samples[8000:16000] = 0.5
    assert speech_edges(samples) == (8000, 16000)
    assert speech_edges(np.zeros(100, np.float32)) == (0, 100)


def test_a_cache_holds_what_was_decoded_and_says_what_was_not(tmp_path: Path) -> None:
    (tmp_path / "broken.wav").write_bytes(b"RIFF, but no more")
    files = [DATA / "monday.opus", DATA / "tennis.opus", tmp_path / "broken.wav", tmp_path / "gone.wav"]
    cache, failed = build_cache(files, tmp_path / "cache", tmp_path)
    assert set(failed) == set(files[2:]) and "broken.wav" in failed[files[2]]
    expected = read_audio(files[1])
    np.testing.assert_allclose(cache[files[1]] / 32767, np.clip(expected, -1, 1), atol=1e-4)
    assert cache.length(files[0]) == len(read_audio(files[0]))
    again, failed_again = build_cache(files, tmp_path / "cache", tmp_path)
    assert failed_again == failed and np.array_equal(again[files[0]], cache[files[0]])
    packed = next((tmp_path / "cache").glob("*.pcm"))
    packed.write_bytes(packed.read_bytes()[:1000])
    with pytest.raises(AsrError, match="shorter than its index"):
        AudioCache(packed, tmp_path)
    packed.with_suffix(".json").write_text(json.dumps("nonsense")[:3])
    with pytest.raises(AsrError, match="not a readable audio cache"):
        AudioCache(packed, tmp_path)


def test_a_cache_needs_neither_the_originals_nor_their_place(tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    names = ("audio/monday.opus", "audio/tennis.opus", "audio/gone.opus")
    (here / "audio").mkdir(parents=True)
    for name in names[:2]:
        shutil.copy(DATA / Path(name).name, here / name)
    cache, failed = build_cache([here / name for name in names], here / "cache", here)
    expected = [np.array(cache[here / name]) for name in names[:2]]
    assert list(failed) == [here / "audio/gone.opus"]
    here.rename(there)
    shutil.rmtree(there / "audio")
    assert len(list((there / "cache").iterdir())) == 2, "two files are all that is needed"
    moved, failed = build_cache([there / name for name in names], there / "cache", there)
    assert list(failed) == [there / "audio/gone.opus"]
    assert all(np.array_equal(moved[there / name], one) for name, one in zip(names, expected, strict=False))


def test_a_cache_is_made_again_when_a_file_has_changed_or_come(tmp_path: Path) -> None:
    files = [tmp_path / "a.opus", tmp_path / "b.opus"]
    shutil.copy(DATA / "monday.opus", files[0])
    before, failed = build_cache(files, tmp_path / "cache", tmp_path)
    assert list(failed) == files[1:]
    shutil.copy(DATA / "tennis.opus", files[0])
    shutil.copy(DATA / "monday.opus", files[1])
    after, failed = build_cache(files, tmp_path / "cache", tmp_path)
    assert not failed
    assert np.array_equal(after[files[1]], before[files[0]]) and after.length(files[0]) != before.length(files[0])


def test_where_no_file_can_be_decoded_the_reason_is_told_and_no_cache_is_left(tmp_path: Path) -> None:
    files = [tmp_path / "a.opus", tmp_path / "b.opus"]
    with pytest.raises(AsrError, match=r"none of 2 audio files can be decoded: There is no file .*a.opus; `asr data"):
        build_cache(files, tmp_path / "cache", tmp_path)
    assert not list((tmp_path / "cache").iterdir())


def test_where_every_utterance_is_left_out_the_reasons_are_told(tmp_path: Path) -> None:
    rows = [{"audio": "a.wav", "text": "...", "duration": 1}, {"audio": "b.wav", "text": "too long", "duration": 99}]
    (tmp_path / "few.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    reasons = r"few.jsonl: no utterance can be used: 1 without a word, e.g. .*a.wav; 1 longer than 35 s, e.g. .*b.wav"
    with pytest.raises(AsrError, match=reasons):
        read_corpus([("few.jsonl", 1.0)], tmp_path, 35.0, Dropped())
