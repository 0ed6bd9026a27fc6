# plot.awk - scores.csv of run.sh as an SVG: score against examples (a logarithmic scale), a panel for each task, a line for each
# way of training through the means over seeds, a dot for each seed.
BEGIN {
    FS = ","
    width = 300; height = 200; left = 46; top = 34; gap = 54
    color["lora"] = "#0b6e99"; color["full"] = "#c4541a"
    name["lora"] = "LoRA, rank 16"; name["full"] = "everything"
    title["side"] = "what is leftmost? \342\200\246 lowest?"
    title["table"] = "table of all shapes: a new form"
}

NR > 1 {
    key = $1 SUBSEP $2 SUBSEP $3
    dots[key] = dots[key] " " 100 * $6
    sum[key] += 100 * $6
    count[key]++
}

function x_of(panel, examples) {
    return left + panel * (width + gap) + width * (examples ? 0.24 + 0.34 * log(examples / 64) / log(4) : 0)
}

function y_of(score) {
    return top + height * (1 - score / 100)
}

function text(x, y, what, more) {
    printf "<text x=\"%.1f\" y=\"%.1f\" %s>%s</text>\n", x, y, more, what
}

function frame(panel, task,    score, i, n) {
    for (score = 0; score <= 100; score += 25) {
        printf "<path d=\"M%.1f %.1fh%d\" stroke=\"#ddd\"/>\n", x_of(panel, 0), y_of(score), width
        text(x_of(panel, 0) - 6, y_of(score) + 4, score, "text-anchor=\"end\"")
    }
    n = split("0 64 256 1024", sizes, " ")
    for (i = 1; i <= n; i++)
        text(x_of(panel, sizes[i]), top + height + 18, sizes[i] == 1024 ? "1,024" : sizes[i], "text-anchor=\"middle\"")
    text(x_of(panel, 0) + width / 2, top - 14, title[task], "text-anchor=\"middle\" font-weight=\"bold\"")
}

function line(panel, task, how,    n, i, k, m, key, path, parts) {
    path = sprintf("M%.1f %.1f", x_of(panel, 0), y_of(sum[task SUBSEP "none" SUBSEP 0]))
    for (n = 64; n <= 1024; n *= 4) {
        key = task SUBSEP how SUBSEP n
        if (!(key in count))
            continue
        path = path sprintf("L%.1f %.1f", x_of(panel, n), y_of(sum[key] / count[key]))
        m = split(dots[key], parts, " ")
        for (i = 1; i <= m; i++)
            printf "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"3\" fill=\"%s\" fill-opacity=\"0.55\"/>\n", x_of(panel, n), y_of(parts[i]), color[how]
    }
    printf "<path d=\"%s\" fill=\"none\" stroke=\"%s\" stroke-width=\"2\"/>\n", path, color[how]
}

END {
    full = left + 2 * width + gap + 14
    printf "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" font-family=\"sans-serif\" font-size=\"12\" fill=\"#333\">\n", full, top + height + 62
    print "<title>nano on two tasks that it never saw: exact answers, per cent, against the number of examples</title>"
    printf "<rect width=\"%d\" height=\"%d\" fill=\"#fff\"/>\n", full, top + height + 62
    split("side table", tasks, " ")
    split("lora full", hows, " ")
    for (p = 0; p < 2; p++) {
        frame(p, tasks[p + 1])
        for (h = 1; h <= 2; h++)
            line(p, tasks[p + 1], hows[h])
    }
    for (h = 1; h <= 2; h++) {
        printf "<path d=\"M%d %dh24\" stroke=\"%s\" stroke-width=\"2\"/>\n", left + (h - 1) * 130, top + height + 44, color[hows[h]]
        text(left + (h - 1) * 130 + 30, top + height + 48, name[hows[h]], "")
    }
    text(full - 14, top + height + 48, "exact answers, per cent, against examples; a dot for each seed", "text-anchor=\"end\"")
    print "</svg>"
}
