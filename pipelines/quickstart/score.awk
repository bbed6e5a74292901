# Perplexity of a text (second file) under a model of pairs (first file), with one added to every count.
NR == FNR { pair[$1 " " $2] = $3; after[$1] += $3; if (!($2 in seen)) { seen[$2] = 1; words++ }; next }
{
    before = "^"
    for (i = 1; i <= NF + 1; i++) {
        word = (i > NF) ? "$" : (($i in seen) ? $i : "?")
        sum -= log((pair[before " " word] + 1) / (after[before] + words))
        n++
        before = word
    }
}
END { printf "%.2f over %d words\n", exp(sum / n), n }
