package main

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
)

// listLong prints a table of all jobs, an instance a line.
func (c *command) listLong(jobs []*jobReport) {
	rows := [][]string{{"JOB", "STATE", "SINCE", "RESPAWNS", "PROCESSES", "MEMORY", "CPU", "DESCRIPTION"}}
	now := time.Now()
	for _, report := range jobs {
		description := printable(report.Description)
		// It will not start by itself.
		manual := ""
		if report.Manual {
			manual = ", manual"
		}
		for _, in := range report.Instances {
			row := []string{instanceName(report.Name, in.Name), in.State + " (" + in.Goal + ")" + manual, age(now, in.since), "-", "-", "-", "-", description}
			if in.Respawns != nil {
				row[3] = fmt.Sprint(*in.Respawns)
			}
			if in.Count != nil {
				row[4] = fmt.Sprint(*in.Count)
			}
			if in.Memory != nil {
				row[5], row[6] = size(*in.Memory), duration(time.Duration(*in.CPU*float64(time.Second)))
			}
			rows = append(rows, row)
		}
		if len(report.Instances) == 0 {
			state := "waiting (stop)"
			if report.LastFailure != "" {
				state += ", failed"
			}
			rows = append(rows, []string{report.Name, state + manual, age(now, report.rested), "-", "-", "-", "-", description})
		}
	}
	c.printTable(rows)
}

// rightColumns are the columns of a table whose cells are numbers.
func rightColumn(i int) bool { return i >= 2 && i <= 6 }

// printTable prints rows in columns, the first row being their titles.
func (c *command) printTable(rows [][]string) {
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	for n, row := range rows {
		var line strings.Builder
		for i, cell := range row {
			pad := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell))
			if i > 0 {
				line.WriteString("  ")
			}
			if rightColumn(i) {
				line.WriteString(pad + cell)
			} else {
				line.WriteString(cell + pad)
			}
		}
		text := strings.TrimRight(line.String(), " ")
		switch {
		case n == 0:
			text = c.paint(bold, text)
		case strings.Contains(row[1], ", failed"):
			text = c.paint(red, text)
		}
		c.print(text)
	}
}

// age says how long ago a time was.
func age(now, then time.Time) string {
	if then.IsZero() {
		return "-"
	}
	return duration(now.Sub(then))
}

// duration gives a time in its two largest units.
func duration(d time.Duration) string {
	switch {
	case d < 10*time.Second:
		return fmt.Sprintf("%.1fs", max(d, 0).Seconds())
	case d < time.Minute:
		return fmt.Sprintf("%ds", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%dmin %ds", int(d.Minutes()), int(d.Seconds())%60)
	case d < 24*time.Hour:
		return fmt.Sprintf("%dh %dmin", int(d.Hours()), int(d.Minutes())%60)
	}
	return fmt.Sprintf("%dd %dh", int(d.Hours())/24, int(d.Hours())%24)
}

// size gives bytes in the largest unit of which there is one.
func size(bytes uint64) string {
	value, unit := float64(bytes), 0
	for value >= 1024 && unit < 5 {
		value, unit = value/1024, unit+1
	}
	if unit == 0 {
		return fmt.Sprintf("%dB", bytes)
	}
	return fmt.Sprintf("%.1f%c", value, " KMGTP"[unit])
}
