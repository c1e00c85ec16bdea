"""Language models against KenLM, brute force and numbers worked out by hand."""

from __future__ import annotations

import gzip
import lzma
import math
import zlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from itertools import pairwise, product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from asr.errors import AsrError, ModelError, TextError
from asr.language_model import LanguageModel
from asr.ngram.arpa import read_arpa, write_arpa
from asr.ngram.counts import BEGIN, SPECIAL_WORDS, CountOptions, Encoder, count, split_sentences, vocabulary_ids
from asr.ngram.kneser_ney import discounts, estimate
from asr.ngram.model import NGrams, context_shares, grams, mix, prune_by_entropy, tune_weights
from asr.ngram.scoring import perplexity, score_sentences
from asr.ngram.table import file_size, quantize, write
from asr.ngram.train import TrainOptions, train

ORACLE = Path(__file__).parent / "data" / "lm"
LOG_10 = math.log(10)

BY_HAND = """\\data\\
ngram 1=5
ngram 2=4
ngram 3=1

\\1-grams:
-1.0\t<unk>
-99\t<s>\t-0.5
-0.8\t</s>
-0.3\tgood\t-0.2
-0.6\tday\t-0.1

\\2-grams:
-0.2\t<s> good\t-0.3
-0.4\tgood day\t0
-0.9\tgood good
-0.7\tday </s>

\\3-grams:
-0.05\t<s> good day

\\end\\
"""


def model_of(
    sentences: Iterable[str], order: int, tmp_path: Path, vocabulary: Sequence[str] = (), **options: int
) -> NGrams:
    """A model estimated from sentences."""
    text = tmp_path / "text.txt"
    text.write_text("\n".join(sentences) + "\n")
    encoder = Encoder()
    corpus = encoder.encode([text])
    chosen = sorted(vocabulary or [word for word in encoder.ids if word not in SPECIAL_WORDS])
    corpus.renumber(vocabulary_ids(encoder.ids, chosen))
    rows = count(corpus, CountOptions(order, **options))
    return estimate(rows, (*SPECIAL_WORDS, *chosen), order)


def as_dict(model: NGrams) -> dict[tuple[str, ...], tuple[float, float]]:
    """Natural-log probability and backoff of each n-gram by its words."""
    table = {}
    for level, numbers in zip(model.levels, grams(model), strict=True):
        for row, prob, backoff in zip(numbers, level.log_prob, level.backoff, strict=True):
            table[tuple(model.words[i] for i in row)] = (float(prob), float(backoff))
    return table


def walk(table: dict[tuple[str, ...], tuple[float, float]], history: tuple[str, ...], word: str) -> float:
    """The log-probability of a word by the definition of back-off."""
    if (*history, word) in table:
        return table[(*history, word)][0]
    if not history:
        return table[("<unk>",)][0]
    return table.get(history, (0.0, 0.0))[1] + walk(table, history[1:], word)


def normalized(model: NGrams) -> bool:
    """Whether every context's probabilities of all words sum to one."""
    table = as_dict(model)
    predicted = [word for word in model.words if word != "<s>"]
    contexts = [(), *(gram for gram in table if len(gram) < model.order and gram[-1] != "</s>")]
    sums = [sum(math.exp(walk(table, context, word)) for word in predicted) for context in contexts]
    return bool(np.allclose(sums, 1, atol=1e-6))


@pytest.fixture(scope="module")
def made_up() -> list[str]:
    return (ORACLE / "made_up.txt").read_text().splitlines()


@pytest.fixture
def small(tmp_path: Path, made_up: list[str]) -> NGrams:
    return model_of(made_up, 3, tmp_path)


@pytest.fixture
def by_hand(tmp_path: Path) -> LanguageModel:
    (tmp_path / "hand.arpa").write_text(BY_HAND)
    write(read_arpa(tmp_path / "hand.arpa"), tmp_path / "hand.lm")
    return LanguageModel.load(tmp_path / "hand.lm")


class TestEstimation:
    @pytest.mark.parametrize(("oracle", "prune"), [("made_up", ()), ("made_up_pruned", (0, 1, 2, 3))])
    def test_agrees_with_lmplz(self, oracle: str, prune: tuple[int, ...]) -> None:
        """tests/data/lm/README.md has the commands that made the oracles."""
        ours = as_dict(train([[ORACLE / "made_up.txt"]], TrainOptions(order=4, prune=prune)))
        theirs: dict[tuple[str, ...], tuple[float, float]] = {}
        with lzma.open(ORACLE / f"{oracle}.arpa.xz", "rt") as file:
            for fields in (line.rstrip("\n").split("\t") for line in file):
                if len(fields) > 1:
                    theirs[tuple(fields[1].split())] = (float(fields[0]), float(fields[2]) if len(fields) > 2 else 0.0)
        assert ours.keys() == theirs.keys()
        for gram, (prob, backoff) in theirs.items():
            assert abs(ours[gram][0] / LOG_10 - prob) < 1e-5, gram
            assert abs(ours[gram][1] / LOG_10 - backoff) < 1e-5, gram

    @settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
    @given(
        st.lists(st.lists(st.sampled_from("abcde"), min_size=1, max_size=7), min_size=1, max_size=30),
        st.integers(1, 5),
        st.sampled_from(["abcde", "abc", "a"]),
    )
    def test_brute_force(self, tmp_path: Path, sentences: list[list[str]], order: int, vocabulary: str) -> None:
        """Interpolated modified Kneser-Ney from its definition, words outside the vocabulary being <unk>."""
        model = model_of([" ".join(words) for words in sentences], order, tmp_path, vocabulary, run_rows=10)
        assert normalized(model)
        known = [[word if word in vocabulary else "<unk>" for word in words] for words in sentences]
        expected = kneser_ney(known, model.words, order)
        table = as_dict(model)
        assert {gram for gram in table if len(gram) > 1} == {gram for gram in expected if len(gram) > 1}
        for gram, prob in expected.items():
            assert math.exp(table[gram][0]) == pytest.approx(prob, abs=1e-9), gram

    def test_discounts_by_hand(self) -> None:
        """4 seen once, 2 twice, 2 three times, 1 four times: Y = 4 / 8; 1 - 2 Y 2/4, 2 - 3 Y 2/2, 3 - 4 Y 1/2."""
        adjusted = np.array([1, 1, 1, 1, 2, 2, 3, 3, 4, 9])
        assert discounts(adjusted).tolist() == [0.0, 0.5, 0.5, 2.0]

    def test_discounts_of_too_little_text(self) -> None:
        assert discounts(np.array([1, 1, 1])).tolist() == [0.0, 0.5, 1.0, 1.5]

    def test_thresholds_that_make_no_sense(self) -> None:
        with pytest.raises(AsrError, match="cannot prune by 0,2,1"):
            train([[ORACLE / "made_up.txt"]], TrainOptions(order=3, prune=(0, 2, 1)))

    @pytest.mark.parametrize("order", [1, 3, 4, 6])
    def test_runs_count_the_same(self, tmp_path: Path, made_up: list[str], order: int) -> None:
        many, one = (model_of(made_up, order, tmp_path, run_rows=size) for size in (97, 10**6))
        assert as_dict(many) == as_dict(one)


def kneser_ney(sentences: list[list[str]], words: Sequence[str], order: int) -> dict[tuple[str, ...], float]:
    """Probabilities of the n-grams of a text, straight from Chen and Goodman (1998)."""
    seen: list[Counter[tuple[str, ...]]] = [Counter() for _ in range(order)]
    for sentence in sentences:
        marked = ["<s>", *sentence, "</s>"]
        for end in range(1, len(marked)):
            for length in range(1, order + 1):
                if length <= end + 1:
                    seen[length - 1][tuple(marked[end + 1 - length : end + 1])] += 1
    adjusted = seen[:]
    for length in range(1, order):
        left = Counter(gram[1:] for gram in seen[length])
        adjusted[length - 1] = Counter(
            {gram: n if gram[0] == "<s>" else left[gram] for gram, n in seen[length - 1].items()}
        )
    probs: dict[tuple[str, ...], float] = {}
    for length in range(1, order + 1):
        discount = discounts(np.array(list(adjusted[length - 1].values()), int))
        following: dict[tuple[str, ...], list[int]] = defaultdict(list)
        for gram, n in adjusted[length - 1].items():
            following[gram[:-1]].append(n)
        every = [(word,) for word in words if word != "<s>"] if length == 1 else adjusted[length - 1]
        for gram in every:
            n, counts = adjusted[length - 1][gram], following[gram[:-1]]
            rest = sum(discount[min(count, 3)] for count in counts) / sum(counts)
            shorter = probs[gram[1:]] if length > 1 else 1 / (len(words) - 1)
            probs[gram] = (n - discount[min(n, 3)] if n else 0) / sum(counts) + rest * shorter
    return probs


class TestMixture:
    def test_is_linear_and_normalized(self, tmp_path: Path) -> None:
        vocabulary = list("abcd")
        one = model_of(["a b c", "a b d", "b c"], 3, tmp_path, vocabulary)
        two = model_of(["a c b", "d c b a", "c c b"], 3, tmp_path, vocabulary)
        mixed = mix([one, two], [0.3, 0.7])
        assert normalized(mixed)
        tables = as_dict(one), as_dict(two)
        assert as_dict(mixed).keys() == tables[0].keys() | tables[1].keys()
        for gram, (prob, _) in as_dict(mixed).items():
            parts = [math.exp(walk(table, gram[:-1], gram[-1])) for table in tables]
            assert math.exp(prob) == pytest.approx(0.3 * parts[0] + 0.7 * parts[1])

    def test_of_a_model_with_itself(self, small: NGrams) -> None:
        before, after = as_dict(small), as_dict(mix([small, small], [0.4, 0.6]))
        for gram, values in before.items():
            assert after[gram] == pytest.approx(values, abs=1e-6), gram

    def test_weights(self) -> None:
        """Of the tokens a quarter is certain under one model only, the rest under the other only."""
        log_probs = np.log(np.array([[1.0, 1e-30, 1e-30, 1e-30], [1e-30, 1.0, 1.0, 1.0]]))
        assert tune_weights(log_probs).tolist() == pytest.approx([0.25, 0.75])

    def test_training_prefers_the_text_like_the_held_out_one(self, tmp_path: Path) -> None:
        paths = [tmp_path / name for name in ("left.txt", "right.txt", "held.txt")]
        for path, text in zip(paths, ("a b a b\n" * 30, "c d c d\n" * 30, "c d\n" * 5 + "a b\n"), strict=True):
            path.write_text(text)
        said: list[str] = []
        model = train([[paths[0]], [paths[1]]], TrainOptions(order=2), [paths[2]], report=said.append)
        table = as_dict(model)
        assert table["<s>", "c"][0] > table["<s>", "a"][0]
        assert any("left.txt 0.1" in line and "right.txt 0.8" in line for line in said)


class TestPruning:
    def test_keeps_all_without_a_threshold(self, small: NGrams) -> None:
        assert prune_by_entropy(small, -np.inf).sizes == small.sizes

    def test_drops_and_stays_normalized(self, small: NGrams) -> None:
        pruned = prune_by_entropy(small, 3e-4)
        assert pruned.sizes[0] == small.sizes[0]
        assert all(0 < after < before / 2 for after, before in zip(pruned.sizes[1:], small.sizes[1:], strict=True)), (
            pruned.sizes,
            small.sizes,
        )
        assert normalized(pruned)

    def test_drops_what_matters_least(self, tmp_path: Path) -> None:
        """The bigram whose removal changes the model least, by the sum over all words, is the first to go."""
        model = model_of(["a b a c", "a b", "c b a", "b b", "a b c c"], 2, tmp_path)
        table, shares = as_dict(model), context_shares(model)[0]
        predicted = [word for word in model.words if word != "<s>"]
        change = {}
        for gram in (gram for gram in table if len(gram) == 2):
            rest = {other: values for other, values in table.items() if other != gram}
            context, explicit = gram[:1], [other[1] for other in rest if len(other) == 2 and other[0] == gram[0]]
            left = 1 - sum(math.exp(rest[(*context, word)][0]) for word in explicit)
            lower = 1 - sum(math.exp(table[(word,)][0]) for word in explicit)
            rest[context] = (rest[context][0], math.log(left / lower))
            share = float(shares[model.words.index(gram[0])])
            change[gram] = share * sum(
                math.exp(walk(table, context, word)) * (walk(table, context, word) - walk(rest, context, word))
                for word in predicted
            )
        ranked = sorted(change.values())
        for lower_bound, upper_bound in pairwise(ranked):
            if upper_bound - lower_bound > 1e-9:
                kept = as_dict(prune_by_entropy(model, (lower_bound + upper_bound) / 2))
                assert {gram for gram in kept if len(gram) == 2} == {
                    gram for gram, value in change.items() if value >= upper_bound
                }

    def test_to_a_size(self, made_up: list[str], tmp_path: Path) -> None:
        model = train([[ORACLE / "made_up.txt"]], TrainOptions(order=4, megabytes=0.02))
        write(model, tmp_path / "small.lm")
        assert 0.016 < (tmp_path / "small.lm").stat().st_size / 1e6 <= 0.02
        with pytest.raises(AsrError, match="allow more"):
            train([[ORACLE / "made_up.txt"]], TrainOptions(order=4, megabytes=0.001))


class TestFile:
    @pytest.mark.parametrize("order", [1, 2, 3, 4, 5])
    def test_holds_every_ngram(self, tmp_path: Path, made_up: list[str], order: int) -> None:
        model = model_of(made_up, order, tmp_path)
        write(model, tmp_path / "all.lm")
        stored = LanguageModel.load(tmp_path / "all.lm")
        again = stored.ngrams()
        assert (again.words, again.sizes, stored.counts) == (model.words, model.sizes, model.sizes)
        for ours, theirs in zip(model.levels, again.levels, strict=True):
            assert (ours.key == theirs.key).all()
            assert (ours.context == theirs.context).all()
            assert np.abs(ours.log_prob - theirs.log_prob).mean() < 0.01
            assert np.abs(ours.backoff - theirs.backoff).mean() < 0.01

    @pytest.mark.parametrize("order", [1, 2, 3, 4, 5])
    def test_scores_as_backoff_is_defined(self, tmp_path: Path, made_up: list[str], order: int) -> None:
        """Random walks through real and made-up histories, unknown words among them, scored for many at once."""
        write(model_of(made_up, order, tmp_path), tmp_path / "all.lm")
        model = LanguageModel.load(tmp_path / "all.lm")
        table = as_dict(model.ngrams())
        random = np.random.default_rng(1)
        lines = [line.split() for line in made_up[:60]]
        words = model.vocabulary[2:]
        lines += [[words[i] for i in random.integers(len(words), size=12)] for _ in range(60)]
        lines += [["zzz" if random.random() < 0.2 else word for word in line] for line in lines]
        longest = max(map(len, lines))
        ids = np.array([[*model.word_ids(line), *[0] * (longest - len(line))] for line in lines])
        states = np.full(len(lines), model.start)
        for place in range(longest):
            scores, following = model.score(states, ids[:, place])
            for row, line in enumerate(lines):
                spoken = ["<s>", *(word if word in model else "<unk>" for word in line)][: place + 2]
                if place < len(line):
                    history = tuple(spoken[max(0, place + 2 - order) : place + 1]) if order > 1 else ()
                    assert scores[row] == pytest.approx(walk(table, history, spoken[place + 1]), abs=1e-5)
            states = following

    def test_no_ngrams_of_the_full_length(self, tmp_path: Path) -> None:
        model = train([[ORACLE / "made_up.txt"]], TrainOptions(order=4, prune=(0, 1, 2, 9)))
        assert model.sizes == (122, 454, 122, 0)
        write(model, tmp_path / "short.lm")
        stored = LanguageModel.load(tmp_path / "short.lm")
        assert stored.ngrams().sizes == model.sizes
        rabe, kibut = stored.word_ids(["rabe", "kibut"])
        scores, _ = stored.score(np.array([stored.start, stored.start]), np.array([rabe, kibut]))
        assert scores.tolist() == pytest.approx(
            [walk(as_dict(stored.ngrams()), ("<s>",), word) for word in ("rabe", "kibut")], abs=1e-5
        )

    def test_by_hand(self, by_hand: LanguageModel) -> None:
        """good day: -0.2 - 0.05, end after `good day`: 0 + -0.7; day after good without a start: -0.4."""
        good, day = by_hand.word_ids(["good", "day"])
        scores, states = by_hand.score(np.array([by_hand.start]), np.array([good]))
        assert scores[0] / LOG_10 == pytest.approx(-0.2, abs=1e-6)
        scores, states = by_hand.score(np.repeat(states, 3), np.array([day, good, 0]))
        assert (scores / LOG_10).tolist() == pytest.approx([-0.05, -0.3 - 0.9, -0.3 - 0.2 - 1.0], abs=1e-5)
        assert (by_hand.end_score(states) / LOG_10).tolist() == pytest.approx([-0.7, -0.2 - 0.8, -0.8], abs=1e-5)
        assert (by_hand.unigram(np.array([good, day])) / LOG_10).tolist() == pytest.approx([-0.3, -0.6], abs=1e-6)

    def test_equal_futures_are_equal_states(self, by_hand: LanguageModel) -> None:
        """`good good` is no context, so after it only the last word matters; after an unknown word nothing does."""
        good, day = by_hand.word_ids(["good", "day"])
        _, after_good = by_hand.score(np.zeros(1, np.int64), np.array([good]))
        _, after_good_good = by_hand.score(after_good, np.array([good]))
        assert after_good == after_good_good
        _, after_unknown = by_hand.score(after_good, np.array([0]))
        assert after_unknown == 0
        _, after_day = by_hand.score(after_good, np.array([day]))
        assert after_day != after_good

    def test_scores_one_word(self, by_hand: LanguageModel) -> None:
        good = int(by_hand.word_ids(["good"])[0])
        scores, states = by_hand.score(by_hand.start, good)
        assert (scores / LOG_10).tolist() == pytest.approx([-0.2], abs=1e-6)
        assert by_hand.end_score(int(states[0])).tolist() == by_hand.end_score(states).tolist()

    def test_scores_nothing(self, by_hand: LanguageModel) -> None:
        scores, states = by_hand.score(np.empty(0, np.int64), np.empty(0, np.int64))
        assert (scores.shape, states.shape) == ((0,), (0,))

    def test_vocabulary(self, by_hand: LanguageModel) -> None:
        assert by_hand.vocabulary == ("<unk>", "<s>", "</s>", "day", "good")
        assert by_hand.word_ids(["good", "evening", "day", "a", "zebra", "<s>"]).tolist() == [4, 0, 3, 0, 0, 1]
        assert "day" in by_hand and "days" not in by_hand

    def test_damaged_words(self, tmp_path: Path, small: NGrams) -> None:
        write(small, tmp_path / "words.lm")
        data = bytearray((tmp_path / "words.lm").read_bytes())
        begin = data.index(zlib.compress("\n".join(small.words).encode(), 9))
        data[begin + 5] ^= 255
        (tmp_path / "words.lm").write_bytes(data)
        with pytest.raises(ModelError, match=r"words\.lm is damaged"):
            LanguageModel.load(tmp_path / "words.lm").word_ids(["day"])

    def test_size_is_foretold(self, tmp_path: Path, small: NGrams) -> None:
        write(small, tmp_path / "small.lm")
        real = (tmp_path / "small.lm").stat().st_size
        contexts = [len(np.unique(level.context)) for level in small.levels[1:]]
        assert real <= file_size(small.words, small.sizes, contexts) <= real + 5000

    def test_codebook_of_few_values_is_exact(self) -> None:
        values = np.array([-1.5, -3.25, -1.5, -0.125])
        book, codes = quantize(values)
        assert book[codes].tolist() == values.tolist()

    def test_codebook_of_many_values_is_near(self) -> None:
        values = np.log(np.random.default_rng(2).beta(0.3, 5, size=5000))
        book, codes = quantize(values)
        nearest = np.abs(values[:, None] - book[None].astype(float)).min(axis=1)
        assert np.allclose(np.abs(values - book[codes]), nearest, atol=1e-5)
        assert np.abs(values - book[codes]).mean() < 0.02

    @pytest.mark.parametrize("share", [0, 0.001, 0.02, 0.5, 0.99])
    def test_damaged(self, tmp_path: Path, small: NGrams, share: float) -> None:
        path = tmp_path / "small.lm"
        write(small, path)
        data = path.read_bytes()
        path.write_bytes(data[: int(share * len(data))])
        with pytest.raises(ModelError, match=r"small\.lm"):
            LanguageModel.load(path)

    def test_missing(self, tmp_path: Path) -> None:
        with pytest.raises(ModelError, match=r"cannot open .*none\.lm"):
            LanguageModel.load(tmp_path / "none.lm")


class TestArpa:
    def test_round_trip(self, tmp_path: Path, small: NGrams) -> None:
        for name in ("model.arpa", "model.arpa.gz", "model.arpa.xz"):
            write_arpa(small, tmp_path / name)
            again = as_dict(read_arpa(tmp_path / name))
            for gram, values in as_dict(small).items():
                expected = (max(values[0], -99 * LOG_10), values[1])
                assert again[gram] == pytest.approx(expected, abs=1e-5), gram

    def test_of_a_stored_model_loses_nothing(self, tmp_path: Path, small: NGrams) -> None:
        write(small, tmp_path / "once.lm")
        once = LanguageModel.load(tmp_path / "once.lm").ngrams()
        write_arpa(once, tmp_path / "once.arpa")
        write(read_arpa(tmp_path / "once.arpa"), tmp_path / "twice.lm")
        twice = LanguageModel.load(tmp_path / "twice.lm").ngrams()
        for before, after in zip(once.levels, twice.levels, strict=True):
            assert np.allclose(before.log_prob, after.log_prob, atol=1e-5)
            assert np.allclose(before.backoff, after.backoff, atol=1e-5)

    def test_adds_what_others_leave_out(self, tmp_path: Path) -> None:
        """No <unk>, and a trigram whose shorter form `good day` is missing: it is what `good` and `day` make of it."""
        text = BY_HAND.replace("-1.0\t<unk>\n", "").replace("-0.4\tgood day\t0\n", "")
        (tmp_path / "some.arpa").write_text(text.replace("ngram 1=5", "ngram 1=4").replace("ngram 2=4", "ngram 2=3"))
        table = as_dict(read_arpa(tmp_path / "some.arpa"))
        assert table["<unk>",][0] == pytest.approx(-99 * LOG_10)
        assert table["good", "day"][0] == pytest.approx((-0.2 - 0.6) * LOG_10)
        assert table["<s>", "good", "day"][0] == pytest.approx(-0.05 * LOG_10)

    def test_small_letters_for_capitals(self, tmp_path: Path) -> None:
        (tmp_path / "big.arpa").write_text(BY_HAND.replace("good", "GOOD").replace("day", "DAY"))
        (tmp_path / "hand.arpa").write_text(BY_HAND)
        assert as_dict(read_arpa(tmp_path / "big.arpa")) == as_dict(read_arpa(tmp_path / "hand.arpa"))

    def test_reads_up_to_an_order(self, tmp_path: Path) -> None:
        (tmp_path / "hand.arpa").write_text(BY_HAND)
        assert read_arpa(tmp_path / "hand.arpa", order=2).sizes == (5, 4)

    @pytest.mark.parametrize(
        ("old", "new", "message"),
        [
            ("\\data\\", "", ""),
            ("-0.4\tgood day\t0", "-0.4\tgood night\t0", "line 15: '-0.4.*is no 2-gram"),
            ("-0.4\tgood day\t0", "-0.4\tgood", "line 15.*is no 2-gram"),
            ("-0.05", "often", "is no 3-gram"),
            ("-0.05", "nan", "'nan.*<s> good day' has a probability that is no number"),
            ("-0.4\tgood day\t0", "-0.4\tgood day\tnan", "line 15: '-0.4.*nan' has a probability that is no number"),
            ("ngram 3=1", "ngram 3=2", "ends early.*2 n-grams and has 1"),
            ("ngram 2=4\n", "", "line 3: the sizes"),
            ("-0.8\t</s>", "-0.8\tstop", "no 2-gram"),
        ],
    )
    def test_broken(self, tmp_path: Path, old: str, new: str, message: str) -> None:
        assert old in BY_HAND
        (tmp_path / "broken.arpa").write_text(BY_HAND.replace(old, new))
        if not message:
            read_arpa(tmp_path / "broken.arpa")
            return
        with pytest.raises(ModelError, match=message):
            read_arpa(tmp_path / "broken.arpa")

    def test_no_arpa_at_all(self, tmp_path: Path) -> None:
        (tmp_path / "text.arpa").write_text("hello\n")
        with pytest.raises(ModelError, match="no ARPA file"):
            read_arpa(tmp_path / "text.arpa")


class TestText:
    def test_sentences(self) -> None:
        paragraph = (
            "Mr. Smith, of St. Mary's, met J. S. Bach. “Who is it?” he asked. (Nobody knew.) "
            "It cost No. 5 …but why! A. B."
        )
        assert [part.strip() for part in split_sentences(paragraph)] == [
            "Mr. Smith, of St. Mary's, met J. S. Bach.",
            "“Who is it?” he asked.",
            "(Nobody knew.)",
            "It cost No. 5 …but why!",
            "A. B.",
        ]

    def test_packed_files_and_dropped_sentences(self, tmp_path: Path) -> None:
        text = "Это Москва. Good day!\nGood night.\n"
        plain, packed = tmp_path / "a.txt", tmp_path / "a.txt.gz"
        plain.write_text(text)
        with gzip.open(packed, "wt") as file:
            file.write(text)
        for path in (plain, packed):
            encoder = Encoder()
            corpus = encoder.encode([path])
            (ids,) = corpus.blocks(1000)
            words = list(encoder.ids)
            assert [words[i] for i in ids] == "<s> good day </s> <s> good night </s>".split()
            assert (corpus.tokens, corpus.dropped) == (6, 1)

    def test_damaged_and_missing_files(self, tmp_path: Path) -> None:
        (tmp_path / "bad.txt.gz").write_bytes(b"not gzip")
        for name, message in (("bad.txt.gz", "cannot read"), ("none.txt", "cannot open")):
            with pytest.raises(TextError, match=rf"{message}.*{name}"):
                Encoder().encode([tmp_path / name])

    def test_vocabulary_is_the_most_frequent(self, tmp_path: Path) -> None:
        (tmp_path / "t.txt").write_text("a b c\na b\na d\n")
        model = train([[tmp_path / "t.txt"]], TrainOptions(order=2, vocabulary=2))
        assert model.words == (*SPECIAL_WORDS, "a", "b")
        assert ("a", "<unk>") in as_dict(model)

    def test_vocabulary_prefers(self, tmp_path: Path) -> None:
        """Each text counts as much as another; c is rarer than b, but its pronunciation is known."""
        (tmp_path / "long.txt").write_text("a b b c\n" * 50)
        (tmp_path / "short.txt").write_text("d d d\n")
        texts = [[tmp_path / "long.txt"], [tmp_path / "short.txt"]]
        held = [tmp_path / "long.txt"]
        options = TrainOptions(order=1, vocabulary=2)
        assert train(texts, options, held).words == (*SPECIAL_WORDS, "b", "d")
        assert train(texts, options, held, preferred={"c"}).words == (*SPECIAL_WORDS, "c", "d")

    def test_vocabulary_given(self, tmp_path: Path) -> None:
        (tmp_path / "t.txt").write_text("a b c\n")
        model = train([[tmp_path / "t.txt"]], TrainOptions(order=2), words=["zebra", "a"])
        assert model.words == (*SPECIAL_WORDS, "a", "zebra")
        assert math.isfinite(as_dict(model)["zebra",][0])


def test_perplexity_by_hand(by_hand: LanguageModel) -> None:
    """`good day`: -0.2 -0.05 -0.7; `good x`: -0.2, then -0.3 -0.2 -1.0 for the unknown word, -0.8 for the end."""
    measured = perplexity(by_hand, score_sentences(by_hand, [["good", "day"], ["good", "x"]]))
    assert measured.known == pytest.approx(10 ** ((0.95 + 0.2 + 0.8) / 5), rel=1e-5)
    assert measured.all == pytest.approx(10 ** ((0.95 + 0.2 + 1.5 + 0.8) / 6), rel=1e-5)
    assert (measured.sentences, measured.words, measured.unknown) == (2, 4, 1)


def test_brute_force_helpers_agree(tmp_path: Path) -> None:
    """The walk that other tests rely on, on one case worked out by hand."""
    (tmp_path / "hand.arpa").write_text(BY_HAND)
    table = as_dict(read_arpa(tmp_path / "hand.arpa"))
    assert walk(table, ("<s>", "good"), "good") == pytest.approx((-0.3 - 0.9) * LOG_10)
    assert SPECIAL_WORDS.index("<s>") == BEGIN
    assert all(walk(table, history, "day") < 0 for history in product(("good", "day"), repeat=2))
