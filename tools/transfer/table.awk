# table.awk - scores.csv of run.sh as a table in Markdown: the mean over seeds, and the lowest and highest in brackets.
BEGIN {
    FS = ","
    title["side"] = "shape at a side"
    title["table"] = "table of all shapes"
    manner["lora"] = "LoRA"
    manner["full"] = "everything"
}

NR > 1 {
    key = $1 SUBSEP $2 SUBSEP $3
    score = 100 * $6
    if (!(key in count) || score < low[key])
        low[key] = score
    if (!(key in count) || score > high[key])
        high[key] = score
    sum[key] += score
    count[key]++
    seconds += $7
}

function cell(task, how, examples,    key) {
    key = task SUBSEP how SUBSEP examples
    if (!(key in count))
        return "-"
    if (count[key] == 1)
        return sprintf("%.1f", sum[key])
    return sprintf("**%.1f** (%.1f to %.1f)", sum[key] / count[key], low[key], high[key])
}

END {
    print "| task | trained | 0 | 64 | 256 | 1,024 examples |"
    print "|---|---|---|---|---|---|"
    for (t = 1; t <= 2; t++)
        for (h = 1; h <= 2; h++) {
            task = t == 1 ? "side" : "table"
            how = h == 1 ? "lora" : "full"
            printf "| %s | %s | %s |", title[task], manner[how], cell(task, "none", 0)
            for (n = 64; n <= 1024; n *= 4)
                printf " %s |", cell(task, how, n)
            print ""
        }
    if (seconds)
        printf "%.0f minutes for all runs, one after another\n", seconds / 60 >"/dev/stderr"
}
