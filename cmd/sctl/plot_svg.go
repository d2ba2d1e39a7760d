package main

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
)

// The measures of the chart, in pixels.
const (
	chartWidth   = 760 // of the time
	chartMargin  = 12
	chartRow     = 22
	chartBar     = 14
	chartTop     = 64 // title and legend
	chartLetter  = 7  // of a name, roughly
	chartLetters = 40 // of a name that are shown
	chartTail    = 90 // for what stands behind a bar
	chartTicks   = 8  // at most
)

// phaseColour are the colours of phases, which are told apart on white and on
// black.
func phaseColour(p phase) string {
	return [...]string{"#9ca3af", "#f59e0b", "#3b82f6", "#a855f7", "#22c55e"}[p]
}

const criticalColour = "#ef4444"

// svg draws the chart: a row for each start, a bar for each state that it was
// in. It is one text, which needs nothing else, no script and no background.
func (s *startup) svg() string {
	left := 0
	for _, f := range s.starts {
		left = max(left, min(utf8.RuneCountInString(f.name), chartLetters))
	}
	left = left*chartLetter + 2*chartMargin
	span := max(s.total+s.total/20, time.Millisecond)
	x := func(at time.Duration) float64 {
		return float64(left) + chartWidth*min(float64(at)/float64(span), 1)
	}
	bottom := chartTop + chartRow*len(s.starts)
	width, height := left+chartWidth+chartTail, bottom+chartRow+chartMargin
	var out strings.Builder
	fmt.Fprintf(&out, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %[1]d %[2]d" font-family="sans-serif" font-size="12">
<title>start of the session</title>
<style>
text { fill: #374151 } .faint { fill: #6b7280 } .grid { stroke: #9ca3af; stroke-opacity: .35 }
@media (prefers-color-scheme: dark) { text { fill: #d1d5db } .faint { fill: #9ca3af } }
</style>
`, width, height)
	fmt.Fprintf(&out, "<text x=\"%d\" y=\"20\" font-size=\"14\" font-weight=\"bold\">start of the session: %s</text>\n", chartMargin, millis(s.total))
	fmt.Fprintf(&out, "<text class=\"faint\" x=\"%d\" y=\"20\" text-anchor=\"end\">%s · %s</text>\n", width-chartMargin,
		inXML(s.counted()), s.begun.Format("2006-01-02 15:04:05"))
	s.legend(&out)
	step := tick(span)
	for at := time.Duration(0); at <= span; at += step {
		fmt.Fprintf(&out, "<line class=\"grid\" x1=\"%.1f\" y1=\"%d\" x2=\"%.1f\" y2=\"%d\"/>\n", x(at), chartTop-4, x(at), bottom)
		fmt.Fprintf(&out, "<text class=\"faint\" x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%s</text>\n", x(at), bottom+chartRow-6, tickText(at, step))
	}
	rows := make(map[string]int)
	for i, f := range s.starts {
		rows[f.name] = i
		f.row(&out, chartTop+chartRow*i, left, x, s.chartEnd(span))
	}
	for _, f := range s.path {
		if from, ok := rows[f.by]; ok {
			to := rows[f.name]
			fmt.Fprintf(&out, "<path d=\"M%.1f %d V%d\" stroke=\"%s\" fill=\"none\" stroke-dasharray=\"3 2\"/>\n",
				x(f.at[starting]), chartTop+chartRow*from+chartRow/2, chartTop+chartRow*to+chartRow/2, criticalColour)
		}
	}
	out.WriteString("</svg>\n")
	return out.String()
}

// chartEnd is where what goes on ends in the chart.
func (s *startup) chartEnd(span time.Duration) time.Duration { return max(min(s.now, span), s.total) }

// legend says what the colours mean.
func (s *startup) legend(out *strings.Builder) {
	at := chartMargin
	for p := starting; p < numPhases; p++ {
		fmt.Fprintf(out, "<rect x=\"%d\" y=\"34\" width=\"12\" height=\"12\" fill=\"%s\"%s/>", at, phaseColour(p), phaseOpacity(p))
		fmt.Fprintf(out, "<text x=\"%d\" y=\"44\">%s</text>\n", at+16, p)
		at += 30 + chartLetter*len(p.String())
	}
	fmt.Fprintf(out, "<rect x=\"%d\" y=\"34\" width=\"12\" height=\"12\" fill=\"none\" stroke=\"%s\"/>", at, criticalColour)
	fmt.Fprintf(out, "<text x=\"%d\" y=\"44\">critical path</text>\n", at+16)
}

func phaseOpacity(p phase) string {
	if p == running {
		return ` fill-opacity="0.45"`
	}
	return ""
}

// row draws a start.
func (f *firstStart) row(out *strings.Builder, top, left int, x func(time.Duration) float64, end time.Duration) {
	fmt.Fprintf(out, "<g><title>%s</title>\n", inXML(f.tooltip()))
	name, weight := []rune(printable(f.name)), ""
	if len(name) > chartLetters {
		name = append(name[:chartLetters-1], '…')
	}
	if f.critical {
		weight = ` font-weight="bold"`
	}
	middle := top + chartRow/2 + 4
	fmt.Fprintf(out, "<text x=\"%d\" y=\"%d\" text-anchor=\"end\"%s>%s</text>\n", left-chartMargin/2, middle, weight, inXML(string(name)))
	y := top + (chartRow-chartBar)/2
	stop := end
	if f.ended != never {
		stop = min(f.ended, end)
	}
	for p := starting; p < numPhases; p++ {
		if f.at[p] == never {
			continue
		}
		until := stop
		for later := p + 1; later < numPhases; later++ {
			if f.at[later] != never {
				until = f.at[later]
				break
			}
		}
		if until > f.at[p] {
			fmt.Fprintf(out, "<rect x=\"%.1f\" y=\"%d\" width=\"%.1f\" height=\"%d\" fill=\"%s\"%s/>\n",
				x(f.at[p]), y, x(until)-x(f.at[p]), chartBar, phaseColour(p), phaseOpacity(p))
		}
	}
	if f.critical {
		fmt.Fprintf(out, "<rect x=\"%.1f\" y=\"%d\" width=\"%.1f\" height=\"%d\" fill=\"none\" stroke=\"%s\"/>\n",
			x(f.at[starting]), y, max(x(f.last())-x(f.at[starting]), 1), chartBar, criticalColour)
	}
	text := millis(f.took())
	switch {
	case f.failed:
		text += " failed"
	case f.underWay():
		text += " …"
	}
	fmt.Fprintf(out, "<text class=\"faint\" x=\"%.1f\" y=\"%d\" font-size=\"10\">%s</text>\n</g>\n", x(max(f.last(), f.at[starting]))+4, middle-1, text)
}

// tooltip tells all about a start.
func (f *firstStart) tooltip() string {
	lines := []string{f.line()}
	for p := starting; p < numPhases; p++ {
		if f.at[p] != never {
			lines = append(lines, fmt.Sprintf("%s at %s", p, millis(f.at[p])))
		}
	}
	if f.ended != never {
		lines = append(lines, "ended at "+millis(f.ended))
	}
	return strings.Join(append(lines, "took "+millis(f.took())), "\n")
}

// tick gives the distance of the lines of a chart: 1, 2 or 5 times a power of
// ten.
func tick(span time.Duration) time.Duration {
	step := 100 * time.Microsecond
	for {
		for _, factor := range [...]time.Duration{1, 2, 5} {
			if span/(step*factor) <= chartTicks {
				return step * factor
			}
		}
		step *= 10
	}
}

func tickText(at, step time.Duration) string {
	ms := float64(at) / float64(time.Millisecond)
	if step < time.Millisecond {
		return fmt.Sprintf("%.1f ms", ms)
	}
	return fmt.Sprintf("%.0f ms", ms)
}

// inXML gives a text as XML has it, between tags and in quotes. Package html
// would do, but costs each command the memory of a table of all that HTML has
// names for.
func inXML(text string) string {
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&#34;", "'", "&#39;").Replace(text)
}
