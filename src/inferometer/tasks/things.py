# SPDX-License-Identifier: Apache-2.0
"""Closed sets of everyday words, a quarter of each held out. No word is in two of them.

Rule 1: no word begins with a vowel where a wording puts "a" in front of it: jobs and animals.
"""

from __future__ import annotations

from inferometer.tasks.split import Parts, divide

_ONE_IN = 4


def _set(words: str) -> Parts:
    return divide(words.split(), _ONE_IN)


COLOURS = _set(
    "amber apricot azure beige black blue bronze brown coral cream crimson emerald fawn gold green grey indigo ivory "
    "jade lavender lemon lilac lime maroon mauve mint mustard navy olive orange pink plum purple red ruby rust sand "
    "scarlet silver tan teal turquoise violet white yellow"
)
FOODS = _set(
    "apples beans beetroot bread broccoli butter cabbage cake carrots cheese cherries chicken chips corn cucumber "
    "dates dumplings figs fish garlic grapes ham herring honey jam kale leeks lentils lobster mango melon mushrooms "
    "noodles nuts onions pancakes pasta peaches pears peas peppers pizza plums porridge potatoes pudding pumpkin "
    "radish rice salad salmon sausages shrimp soup spinach stew toast tomatoes trout tuna turnips walnuts yoghurt"
)
ANIMALS = _set(
    "badger bat beetle bison bull camel canary cat cheetah cow crab crow dog donkey dove duck falcon ferret fox frog "
    "gecko goat goose hamster hare hawk hen horse jackdaw kitten lamb lizard llama magpie mole monkey moth mouse mule "
    "newt parrot peacock pheasant pig pigeon pony puppy python quail rabbit rat raven rooster salamander sheep snail "
    "snake sparrow spider squirrel stork swan toad tortoise turkey turtle weasel wolf"
)
JOBS = _set(
    "baker banker barber blacksmith bookbinder brewer bricklayer builder butcher captain carpenter cashier chemist "
    "clerk cobbler cook dancer dentist detective diver doctor driver farmer firefighter fisher florist forester "
    "gardener glazier goldsmith guard hatter judge lawyer librarian locksmith mason mechanic merchant midwife miller "
    "miner musician nurse painter pharmacist pilot plumber porter postman potter printer ranger reporter roofer sailor "
    "scientist sculptor shepherd singer smith soldier surgeon surveyor tailor tanner teacher translator vet waiter "
    "watchmaker weaver welder writer"
)
INSTRUMENTS = _set(
    "accordion bagpipe banjo bassoon bugle cello clarinet cornet cymbals drum dulcimer fiddle flute gong guitar "
    "harmonica harp horn kettledrum lute lyre mandolin marimba oboe organ piano piccolo recorder saxophone sitar "
    "tambourine triangle trombone trumpet tuba ukulele viola violin whistle xylophone zither"
)
SPORTS = _set(
    "archery badminton baseball basketball bowling boxing canoeing climbing cricket croquet curling cycling darts "
    "diving fencing fishing football golf gymnastics handball hiking hockey hurdling jogging judo karate polo riding "
    "rowing rugby running sailing skating skiing sledging snooker squash surfing swimming tennis volleyball walking "
    "wrestling yoga"
)
AGES = divide(map(str, range(18, 100)), _ONE_IN)

ALL_SETS = (COLOURS, FOODS, ANIMALS, JOBS, INSTRUMENTS, SPORTS)
ALL_WORDS = frozenset(word for closed in ALL_SETS for word in (*closed.train, *closed.held_out))
