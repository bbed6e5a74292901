# Counts pairs of words: first file the vocabulary (count, word), second the text. What is unknown is `?`.
NR == FNR { known[$2] = 1; next }
{
    before = "^"
    for (i = 1; i <= NF; i++) {
        word = ($i in known) ? $i : "?"
        pairs[before " " word]++
        before = word
    }
    pairs[before " $"]++
}
END { for (pair in pairs) print pair, pairs[pair] }
