# Writes `stories` short stories, one a line. The generator is its own, since awk's rand() differs between awks.
function pick(list,   n, words) {
    state = (state * 16807) % 2147483647
    n = split(list, words, ",")
    return words[1 + int(state / 128) % n]
}
BEGIN {
    state = 20261
    for (i = 0; i < stories; i++) {
        who = pick("the cat,the old fisherman,a small girl,the baker,a tired robot,the moon")
        thing = pick("a red kite,the last fish,a paper boat,an old song,a warm loaf,the lost key")
        place = pick("by the river,on the hill,under the bridge,in the quiet town,near the sea")
        print who " " pick("found,lost,carried,made,dreamed of") " " thing " " place " . " \
              "then " pick("rain,a friend,the wind,night,a train") " came and " who " " \
              pick("laughed,went home,sang,slept,waited") " ."
    }
}
