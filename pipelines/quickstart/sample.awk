# Writes one story word by word from a model of pairs, with a seeded generator of its own.
{ n = ++count[$1]; word[$1, n] = $2; weight[$1, n] = $3; total[$1] += $3 }
END {
    state = seed * 7919 + 1
    for (at = "^"; length(line) < 400; ) {
        for (k = 0; k < 3; k++) state = (state * 16807) % 2147483647
        left = int(state / 128) % total[at]
        for (i = 1; left >= weight[at, i]; i++) left -= weight[at, i]
        at = word[at, i]
        if (at == "$") break
        line = line (line == "" ? "" : " ") at
    }
    print line
}
