# SPDX-License-Identifier: Apache-2.0
"""Names, words and numbers drawn fresh for one passage, no two the same.

Rule 1: names are syllables, so that a model meets names it has never seen in parts that it knows.
Rule 2: a name is written the same way wherever it stands: with one capital and a space in front of it. Tokenizers make
other tokens of a word at the beginning of a line.
"""

from __future__ import annotations

from functools import cache
from random import Random

from inferometer.tasks.draw import below, pick
from inferometer.tasks.split import Parts, Split, split_of
from inferometer.tasks.things import ALL_WORDS


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


SYLLABLES = _words(
    "ba bel bo da dal de den do dor du fa fe fin fo ga gar gel go hal hel ja jo ka kal ke kel ko kor la lan le len li "
    "lin lo lu ma mar me mel mi mir mo na nel no nor nu pa pel po ra ral re ren ri rin ro ros sa sal se sel si so ta "
    "tal te ti to tor tu va val ve vel vi vin vo wen wil za zel zo"
)
_SHARE_OF_THREE = 0.25  # of names have three syllables
# What two syllables make by chance, but is nobody's name: "Where does Live live?"
_PLAIN_WORDS = _words(
    "bare bore dare data date demo fare fate fore gate gave lama late lava life like lime live logo lore love make "
    "male mama mare mate memo more name note nova papa polo pore rare rate rave safe sale salsa same save site soda "
    "sofa solo sore take tale tame time tore tuna veto visa"
)

# Parts of made-up words: many more letters come together than in names.
_STEMS = _words(
    "blan bor brel brim cam cham chel clav cor crin dap dell dov drim drow dus fal fem fim flan fler flin fob fost "
    "fram frin gam glen glim gob gram grel grin grov hab hask hem hob hund jab jast jem jip jund kam kest kim lam lesh "
    "lim lod lusk mab mast mell mip mod munt nab nest nim nob nund pab pell plim plod plun pod prem prin prod quan "
    "quel quil quod rab resk rim rod rund sab scal scor sheb shim shol skel skim slab slom smel smin snab sned spal "
    "spel spin stam stel stim stol stun swal swim tab tesk thal them thim thob tim tob trad trem trin tund vab vesk "
    "vim vod vund wab wesk whim wob wren xan xim yab yel yim yod zab zesk zim zod zund"
)
_ENDINGS = _words("a el en er et in it o on ow um y")
_MAX_TRIES = 100  # before a number gets one more digit


@cache
def _two_syllables(split: Split) -> tuple[str, ...]:
    names = dict.fromkeys(a + b for a in SYLLABLES for b in SYLLABLES if a != b)
    taken = ALL_WORDS.union(_PLAIN_WORDS)
    return tuple(name.capitalize() for name in names if split_of(name) is split and name not in taken)


class Fresh:
    """What one passage is filled with; all of it of one split."""

    __slots__ = ("_names", "_rng", "_split", "_used")

    def __init__(self, split: Split, rng: Random) -> None:
        self._split, self._rng = split, rng
        self._names = _two_syllables(split)
        self._used: set[str] = set()

    def name(self) -> str:
        """Of a person, a town, a pet, a company: "Torvel", "Minako"."""
        while True:
            if self._rng.random() < _SHARE_OF_THREE:
                name = "".join(pick(self._rng, SYLLABLES) for _ in range(3)).capitalize()
            else:
                name = pick(self._rng, self._names)
            if self._is_mine(name):
                return name

    def word(self) -> str:
        """Made up, small letters: "plimet", "quandov"."""
        while True:
            kind = self._rng.random()
            word = pick(self._rng, _STEMS)
            if kind < 0.5:
                word += pick(self._rng, _STEMS)
            if kind > 0.25:
                word += pick(self._rng, _ENDINGS)
            if self._is_mine(word):
                return word

    def number(self, n_digits: int) -> str:
        """Without a zero in front; longer if there are hardly any left."""
        n_tries = 0
        while True:
            low = 10 ** (n_digits + n_tries // _MAX_TRIES - 1)
            number = str(low + below(self._rng, 9 * low))
            if self._is_mine(number):
                return number
            n_tries += 1

    def one_of(self, closed: Parts) -> str:
        """A member of a closed set; a second time only if the set is nearly used up."""
        members = closed.of(self._split)
        for _ in range(8):
            member = pick(self._rng, members)
            if member not in self._used:
                break
        self._used.add(member)
        return member

    def _is_mine(self, text: str) -> bool:
        """Takes what is new, of the split and not in a closed set (whose words may be of the other one)."""
        if text in self._used or split_of(text) is not self._split or text.lower() in ALL_WORDS:
            return False
        self._used.add(text)
        return True
