# SPDX-License-Identifier: Apache-2.0
"""What a paragraph tells about people: each relation with its wordings, its questions and its values.

Rule 1: no relation implies another: from where somebody lives does not follow where they were born.
Rule 2: nothing in front of a value could be taken for a part of it ("warm soup"): the answer is one word.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from inferometer.tasks.fresh import Fresh
from inferometer.tasks.split import Parts
from inferometer.tasks.things import AGES, ANIMALS, COLOURS, FOODS, INSTRUMENTS, JOBS, SPORTS
from inferometer.tasks.wording import questions, wordings


@dataclass(frozen=True, slots=True)
class Relation:
    name: str
    value: Callable[[Fresh], str]
    facts: Parts
    questions: Parts


def _relation(name: str, value: Callable[[Fresh], str], facts: tuple[str, ...], asked: tuple[str, ...]) -> Relation:
    return Relation(name, value, wordings(facts), questions(asked, "text"))


def _member(closed: Parts) -> Callable[[Fresh], str]:
    return lambda fresh: fresh.one_of(closed)


RELATIONS = (
    _relation(
        "home",
        Fresh.name,
        (
            "{name} [|now |still ]lives in [|the town of ]{value}.",
            "{name} has a [|small |large ][home|house|flat] in [|the town of ]{value}.",
            "The [home|house] of {name} [is|stands|lies] in [|the town of ]{value}.",
            "The town where {name} [|now |still ][lives|has a home] is {value}.",
        ),
        (
            "Where does {name} [|now ]live",
            "In which town does {name} [live|have a home]",
            "[What|Which town] is the home of {name}",
            "In which town is the [home|house] of {name}",
        ),
    ),
    _relation(
        "birthplace",
        Fresh.name,
        (
            "{name} was born in [|the town of |the village of ]{value}[| long ago].",
            "{name} [comes|came] from [|the town of |the village of ]{value}.",
            "The birthplace of {name} [is|was] [|the town of |the village of ]{value}.",
            "The [town|village] where {name} was born [is|was] [|called ]{value}.",
        ),
        (
            "Where was {name} born",
            "Where does {name} come from",
            "In which town was {name} born",
            "[What|Which town] is the birthplace of {name}",
        ),
    ),
    _relation(
        "job",
        _member(JOBS),
        (
            "{name} [works|is working] as a {value}[| now| these days].",
            "{name} [is|is still|is now] a {value} by [trade|profession].",
            "The [job|trade|profession] of {name} [is|is still|is now] that of a {value}.",
            "{name} earns [a living|money] as a {value}[| now| these days].",
        ),
        (
            "What does {name} work as",
            "What is the [job|trade|profession] of {name}",
            "[Which|What] [job|trade|profession] does {name} have",
            "As what does {name} [work|earn a living|earn money]",
        ),
    ),
    _relation(
        "age",
        _member(AGES),
        (
            "{name} is [|now |just |already ]{value} [years old|years of age].",
            "The age of {name} is [|now |just |already ]{value}[| years].",
            "{name} has [|now |just |already ]reached the age of {value}[| years].",
            "{name}'s age is [|now |just |already ]{value}[| years].",
        ),
        (
            "How old is {name}",
            "What is the age of {name}",
            "[What|Which] age has {name} reached",
            "What is {name}'s age",
        ),
    ),
    _relation(
        "colour",
        _member(COLOURS),
        (
            "The [favourite|best loved] colour of {name} is [|now |still ]{value}.",
            "{name} [likes|loves] the colour {value} [most|best|above all].",
            "{name}'s [favourite|best loved] colour is [|now |still ]{value}.",
            "Of all colours {name} [|still ][likes|loves] {value} [most|best].",
        ),
        (
            "What is the favourite colour of {name}",
            "[Which|What] colour does {name} [like|love] [most|best|above all]",
            "[Which|What] is {name}'s favourite colour",
            "Of all colours, which does {name} [like|love] [most|best]",
        ),
    ),
    _relation(
        "food",
        _member(FOODS),
        (
            "The favourite [food|meal] of {name} is [|now |still ]{value}.",
            "{name} [likes|loves] to eat {value} [most|best|above all].",
            "{name}'s favourite [food|meal] is [|now |still ]{value}.",
            "Of all [foods|meals] {name} [likes|loves] {value} [most|best].",
        ),
        (
            "What is the favourite [food|meal] of {name}",
            "What does {name} [like|love] to eat [most|best|above all]",
            "[Which|What] is {name}'s favourite [food|meal]",
            "Of all [foods|meals], which does {name} [like|love] [most|best]",
        ),
    ),
    _relation(
        "pet",
        _member(ANIMALS),
        (
            "{name} [has|keeps|owns] a {value}[| as a pet| at home].",
            "The pet of {name} is [|now |still |just ]a {value}.",
            "{name}'s pet is [|now |still |just ]a {value}.",
            "{name} [|now |still ]shares [a home|a house] with a {value}.",
        ),
        (
            "[Which|What] animal does {name} [have|keep|own]",
            "[Which|What] animal is the pet of {name}",
            "What kind of animal is {name}'s pet",
            "With [which|what] animal does {name} share a [home|house]",
        ),
    ),
    _relation(
        "pet's name",
        Fresh.name,
        (
            "The [|young |tame |small ]pet of {name} is [called|named] {value}.",
            "{name}'s [|young |tame |small ]pet is [called|named] {value}.",
            "{name} [calls|has named] [the|a] pet {value}.",
            "{name} has a [|young |tame |small ]pet [called|named|by the name of] {value}.",
            "The name of {name}'s [|young |tame |small ]pet is {value}.",
        ),
        (
            "What is the pet of {name} [called|named]",
            "What is the name of {name}'s pet",
            "Which name does the pet of {name} have",
            "How is the pet of {name} [called|named]",
        ),
    ),
    _relation(
        "instrument",
        _member(INSTRUMENTS),
        (
            "{name} [plays|can play] the {value}[| well| every day| at home].",
            "{name} [is learning|practises|has learnt] the {value}[| every day| at home].",
            "The instrument of {name} [is|is now|is still] the {value}.",
            "{name} makes music [on|with] the {value}[| every day| at home].",
        ),
        (
            "[Which|What] instrument does {name} play",
            "[Which|What] is the instrument of {name}",
            "[Which|What] instrument is played by {name}",
            "On which instrument does {name} make music",
        ),
    ),
    _relation(
        "friend",
        Fresh.name,
        (
            "The [best|closest|dearest] friend of {name} is [|called |still ]{value}.",
            "{name}'s [best|closest|dearest] friend is [|called |still ]{value}.",
            "{name} [has|counts on] {value} as [best|closest|dearest] friend.",
            "{name} [calls|names] {value} the [best|closest|dearest] friend.",
        ),
        (
            "Who is the [best|closest|dearest] friend of {name}",
            "Who is {name}'s [best|closest|dearest] friend",
            "What is the name of {name}'s [best|closest|dearest] friend",
            "Whom does {name} [call|name] the [best|closest|dearest] friend",
        ),
    ),
    _relation(
        "badge",
        lambda fresh: fresh.number(4),
        (
            "The badge number of {name} is [|now |still |just ]{value}.",
            "{name} [has|wears|carries] [a|the] badge [with the|with] number {value}.",
            "{name}'s badge [has|shows|bears] [the|a] number {value}.",
            "On the badge of {name} [is|stands] [the|a] number {value}.",
        ),
        (
            "What is the badge number of {name}",
            "Which number [is|stands] on the badge of {name}",
            "Which number does {name}'s badge [have|show|bear]",
            "What is the number of {name}'s badge",
        ),
    ),
    _relation(
        "room",
        lambda fresh: fresh.number(3),
        (
            "{name} [stays|sleeps|is] in room [|number ]{value}[| tonight].",
            "The room of {name} is [|number |still ]{value}[| tonight].",
            "{name} [has|was given] room [|number ]{value}[| tonight].",
            "{name}'s room [is|has] [|the ]number {value}[| tonight].",
        ),
        (
            "In which room [does {name} stay|does {name} sleep|is {name}]",
            "What is the room number of {name}",
            "Which room [does {name} have|was {name} given]",
            "What is the number of {name}'s room",
        ),
    ),
    _relation(
        "password",
        Fresh.word,
        (
            "The [|secret ]password of {name} is [|now |still ]{value}.",
            "{name} [uses|has|chose] the [|secret ]password {value}.",
            "{name}'s [|secret ]password is [|now |still ]{value}.",
            "{name} [logs|gets] in with the [|secret ]password {value}.",
        ),
        (
            "What is the [|secret ]password of {name}",
            "Which [|secret ]password does {name} [use|have]",
            "[Which|What] is {name}'s [|secret ]password",
            "With which password does {name} [log|get] in",
        ),
    ),
    _relation(
        "employer",
        Fresh.name,
        (
            "{name} [works|is working|still works] for [|the company |the firm ]{value}.",
            "The [company|firm] [of|that pays] {name} is [|called |named ]{value}.",
            "{name} is [employed|paid] by [|the company |the firm ]{value}.",
            "The [company|firm] where {name} works is [|called |named ]{value}.",
        ),
        (
            "For [which|what] [company|firm] does {name} work",
            "[Which|What] is the [company|firm] of {name}",
            "By which [company|firm] is {name} [employed|paid]",
            "Who [employs|pays] {name}",
        ),
    ),
    _relation(
        "sport",
        _member(SPORTS),
        (
            "The favourite sport of {name} is [|still |now |always ]{value}.",
            "Of all sports {name} [likes|loves|enjoys] {value} [most|best].",
            "{name}'s favourite sport is [|still |now |always ]{value}.",
            "{name} [likes|loves|enjoys] {value} [most|best] of all sports.",
        ),
        (
            "What is the favourite sport of {name}",
            "[Which|What] sport does {name} [like|love|enjoy] [most|best]",
            "[Which|What] is {name}'s favourite sport",
            "Of all sports, which does {name} [like|love|enjoy] [most|best]",
        ),
    ),
)
