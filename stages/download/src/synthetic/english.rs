//! English words and sentences.
use super::words::{Words, list, phrases};

pub(super) fn words() -> Words {
    Words {
        people: [
            list(
                "Al Ber Cal Dor El Fen Gar Hal Is Jor Kel Lan Mar Nor Or Per Quin Ros Sel Tam Ul Ver Wil Yan Zel Bran Cor Dun Ed Fay Gwen Hol Ivo Jun Kit Lor Mil Nell Os Pol",
            ),
            list("a e i o an en il or ar ela ina ow"),
            list(
                "a bert da den dric fa fred gen gin ia ina ka la lan lin lo ma mir na nor on ra ric rin ro sa son ta ter tha tin ton va vin wen win y ya zo",
            ),
        ],
        places: [
            list(
                "Ash Birch Black Bright Brook Clear Cold Copper Crow Dale Deer East Elm Fair Far Fern Fox Frost Glen Gold Green Grey Hawk Hazel High Iron King Lake Long Maple Mill Moon Moss North Oak Old Otter Pine Raven Red River Rose Sand Silver Snow South Star Stone Storm Sun Swan Thorn West White Wild Willow Wind Wolf",
            ),
            list(
                "bank barrow bay beach bridge burn bury by cliff combe cross dale den don falls field ford gate grove ham harbour haven hill holm hurst island land ley mere minster moor mouth port ridge shore side stead stow ton vale view water well wick wood worth",
            ),
        ],
        animals: list(
            "badger bat bear beaver bee beetle bird butterfly calf cat chick cow crab cricket crow deer dog dolphin donkey dove dragonfly duck eagle fish fox frog goat goose hare hawk hedgehog hen heron horse kitten lamb lizard mole mouse otter owl ox parrot pig pony puppy rabbit raven robin salmon seal sheep snail sparrow spider squirrel swan toad tortoise turtle whale wolf wren",
        ),
        materials: list(
            "amber apple birch bone brass bronze candle clay coal copper cotton dream feather fire flower forest garden glass gold ice iron ivory lamp leather marble meadow mirror moon moss oak paper pearl pine rain river rope rose salt sand shadow shell silk silver snow star steel stone story straw sugar summer sun thunder tin water wave wax willow wind winter wire wood wool ",
        ),
        things: list(
            "bag ball basket bell bench boat book bottle bow bowl box bridge broom brush bucket button cage candle cap cart chain chair chest clock cloak coat coin comb crown cup door dress drum fan fence flag flute fork gate glove hammer harp hat horn house jar kettle key kite knife knot ladder lamp lantern letter lid lock map mask mat mirror needle net oar pan path pen pillow pipe plate pot purse quilt ring robe rope saddle sail scarf shelf shield shirt shoe shovel sled spoon stamp stick stool sword table thread tile tower toy tray wagon wall wheel whistle window",
        ),
        qualities: list(
            "angry bitter bold brave bright broken busy calm careful cheap clean clever clumsy cold crooked curious dark deep dirty dry dusty eager empty enormous faint famous fast fat fine flat foolish forgotten fresh friendly funny gentle giant glad golden grand greedy grumpy happy hard heavy hidden hollow honest huge humble hungry kind large lazy light little lonely long lost loud lovely lucky mighty modest narrow neat new noisy odd old patient plain polite poor pretty proud quick quiet rare rich rough round rusty sad safe secret shiny short shy silent silly simple sleepy slow small smooth soft sour square strange strong sweet tall tame thick thin tidy tiny tired ugly useful warm weak wet wide wild wise wooden wonderful young",
        ),
        manners: list(
            "again aloud angrily badly boldly bravely brightly calmly carefully cheerfully clearly cleverly eagerly easily finally firmly gently gladly happily hastily honestly hungrily kindly lazily loudly merrily nearly neatly nervously patiently politely proudly quickly quietly sadly safely secretly shyly silently slowly softly suddenly sweetly tenderly together truly warmly wildly wisely",
        ),
        feelings: list(
            "afraid alone amazed angry ashamed brave calm curious delighted excited free glad grateful guilty happy hopeful jealous lonely lucky nervous proud puzzled relieved sad safe shy sleepy sorry strong surprised thankful thirsty tired worried",
        ),
        foods: list(
            "almonds apples bacon barley beans berries biscuits bread broth butter cabbage cake carrots cheese cherries chestnuts corn cream dumplings eggs figs fish garlic grapes honey jam lemons lentils milk mushrooms noodles nuts oats olives onions oranges pancakes peaches pears peas pepper pie plums porridge potatoes pudding pumpkin rice salad salt sausages soup spinach stew sugar tea toast tomatoes turnips walnuts",
        ),
        times: phrases(
            "in the morning|at noon|in the evening|at midnight|before sunrise|after supper|on a Monday|on market day|in early spring|late in the summer|one autumn day|in the middle of winter|the next day|a week later|long after dark|when the bells rang|just before breakfast|on the first of May",
        ),
        weathers: phrases(
            "The rain fell on the roofs|A soft wind came from the sea|Snow lay on every branch|The sun stood high above the hills|Fog hid the road|Thunder rolled far away|The stars were very clear|A rainbow hung over the fields|The air smelled of wet earth|Ice covered the pond|Clouds hurried over the sky|It was hot, and nothing moved",
        ),
        openings: &[
            "Once upon a time there lived a {a} {c} called {n} in {p}.",
            "{n} was a {a} {c} who had never left {p}.",
            "In {p}, not far from {q}, everybody knew {n}, the {a} {c}.",
            "{t}, a {a} {c} named {n} came to {p} with nothing but a {o}.",
            "There was a {a} house in {p}, and in it lived {n} and {m}.",
            "People in {p} still tell the story of {n} and the {a} {o}.",
            "{w}. {n} sat by the window in {p} and looked at a {a} {o}.",
            "{n} and {m} were friends, although one was {a} and the other was {a}.",
        ],
        troubles: &[
            "One day the {o} was gone.",
            "But the {o} was broken, and nobody in {p} knew how to mend it.",
            "Then a {a} {b} took the {o} and ran away to {q}.",
            "But {m} had fallen ill and could eat nothing but {e}.",
            "There was only one trouble: {n} was always {f}.",
            "That year there were no {e} in all of {p}.",
            "But the road to {q} was closed, and winter was near.",
            "Then a letter came from {q}: \"Bring the {o} before {k} days have passed.\"",
        ],
        events: &[
            "{t} {n} walked {v} to {q}.",
            "{n} looked under the {x}, behind the {x} and in the {a} {x}.",
            "{w}.",
            "A {a} {b} sat on a {x} and ate {e}.",
            "{n} felt {f}, but went on.",
            "They shared some {e} and a cup of {a} tea.",
            "{m} carried the {x} {v} up the hill.",
            "On the way they met a {b} who was looking for a {a} {x}.",
            "{n} counted {k} steps, then {k} more.",
            "Behind the {x} there was a {a} door, and behind the door a {a} {x}.",
            "The {b} laughed {v} and pointed at the {o}.",
            "{m} gave {n} a {a} {x} and asked for nothing.",
            "Nobody had seen the {o} since {n} had come to {p}.",
            "For {k} days they ate {e} and slept under a {x}.",
            "The {a} {b} knew every path between {p} and {q}.",
            "{n} tied the {x} to the {x} and pulled {v}.",
            "In the market of {q} they sold {k} {e} for one {a} {x}.",
            "The {x} was {a} and {a}, and it was not for sale.",
            "{n} fell into the water, and the {c} and the {b} pulled {v}.",
            "{t} everything was {a} again.",
        ],
        sayings: &[
            "\"Have you seen my {o}?\" asked {n} {v}.",
            "\"I am {f},\" said {m}, \"but I will help you.\"",
            "\"A {a} {x} is worth more than {k} {a} ones,\" said the {b}.",
            "\"Go to {q},\" said the old {b}, \"and ask for the {a} {x}.\"",
            "\"Why are you so {f}?\" asked {m}.",
            "\"Because I have lost the {o},\" said {n} {v}.",
            "\"Thank you for the {e},\" said the {b}, \"they were {a}.\"",
            "\"We must be home {t},\" said {n}.",
            "\"It is only a {x},\" said {m}. \"It is not {a} at all.\"",
            "\"Never mind,\" said {n} {v}, and smiled.",
        ],
        endings: &[
            "{n} found the {o} at last: it had been in the {a} {x} all the time.",
            "And from that day on {n} was never {f} again.",
            "So {n} and {m} went home to {p}, and there were {e} for everybody.",
            "The {o} still stands in {p}, and whoever is {f} may touch it.",
            "\"Next time,\" said {m}, \"we will ask first.\" And {n} agreed {v}.",
            "That is how {n} learned that a {a} friend is better than a {a} {x}.",
            "They lived {v} in {p} for {k} years, and the {b} came to visit {t}.",
        ],
        space: " ",
    }
}
