// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"html"
	"strings"
)

const (
	plotWidth  = 760
	labelWidth = 90
	barWidth   = 520
	barHeight  = 16
	barStep    = 20
	groupGap   = 34
)

// palette has enough contrast on white and on near-black.
var palette = []string{"#1f8a70", "#d9822b", "#6f7fd8", "#8a8f98"}

// plot draws the medians of the times. Each group has its own scale: the
// longest bar is the slowest runtime there.
func (r *results) plot() string {
	var body strings.Builder
	y := 48
	for _, op := range operations {
		if op.unit != "ms" || len(r.samples[op.name]) == 0 {
			continue
		}
		fmt.Fprintf(&body, "<text class=\"t\" x=\"0\" y=\"%d\">%s</text>\n", y, html.EscapeString(strings.ReplaceAll(op.name, "`", "")))
		y += 8
		y = r.group(&body, op, y) + groupGap
	}
	var b strings.Builder
	fmt.Fprintf(&b, "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"-12 0 %d %d\" font-family=\"system-ui, sans-serif\" role=\"img\" aria-label=\"Median times of the runtimes\">\n", plotWidth+24, y)
	b.WriteString("<style>text{fill:#24292f;font-size:13px}.t{font-weight:600}.n{font-size:12px;opacity:.75}" +
		"@media (prefers-color-scheme:dark){text{fill:#e6edf3}}</style>\n")
	fmt.Fprintf(&b, "<text class=\"n\" x=\"0\" y=\"18\">Median time in ms, shorter is better; each group has its own scale. %s</text>\n",
		r.when.UTC().Format("2006-01-02"))
	b.WriteString(body.String())
	b.WriteString("</svg>\n")
	return b.String()
}

// group draws the bars of one operation from y on and returns where they end.
func (r *results) group(b *strings.Builder, op operation, y int) int {
	longest := 0.0
	for _, values := range r.samples[op.name] {
		longest = max(longest, summarize(values).median)
	}
	for i, name := range r.names {
		values := r.samples[op.name][name]
		if len(values) == 0 {
			continue
		}
		median := summarize(values).median
		width := max(1, median/longest*barWidth)
		middle := y + barHeight - 4
		fmt.Fprintf(b, "<text x=\"%d\" y=\"%d\" text-anchor=\"end\">%s</text>", labelWidth-8, middle, html.EscapeString(name))
		fmt.Fprintf(b, "<rect x=\"%d\" y=\"%d\" width=\"%.1f\" height=\"%d\" rx=\"2\" fill=\"%s\"/>", labelWidth, y, width, barHeight, palette[i%len(palette)])
		fmt.Fprintf(b, "<text x=\"%.1f\" y=\"%d\">%.2f</text>\n", labelWidth+width+6, middle, median)
		y += barStep
	}
	return y
}
