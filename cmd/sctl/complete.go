package main

import (
	"context"
	"slices"
	"strings"

	"github.com/session-init/session-init/session/api"
	"github.com/session-init/session-init/session/job"
)

// completeVerb is what the completion scripts of the shells call. It is no verb
// of the table: nobody types it.
const completeVerb = "__complete"

// What a line of the answer says that is no candidate: names of files, or of
// directories alone, can stand here, which the shell knows best.
const (
	offerFiles = ":files"
	offerDirs  = ":directories"
)

// maxDescribed is for how many jobs their descriptions are asked: the names
// are one call, the descriptions one each.
const maxDescribed = 200

// completion is one question: what can stand in the place of a word.
type completion struct {
	*command
	word string // as far as it is typed
	out  []candidate
}

// candidate is a word that can stand there, and a line about it.
type candidate struct{ word, help string }

// complete prints what can stand in the place of the last of words, one
// candidate a line, after a tab what it is. The first is the name of the
// program. Where there is nothing to say, also for want of a daemon, nothing
// is said: a shell would print it into the line that is being typed.
func (c *command) complete(words []string) error {
	if len(words) < 2 {
		return nil
	}
	ctx, cancel := context.WithTimeout(c.ctx, c.waits.completion)
	defer cancel()
	c.ctx, c.options.quiet = ctx, true
	q := &completion{command: c, word: words[len(words)-1]}
	q.ask(c.setProgram(words[:len(words)-1]))
	for _, found := range q.out {
		c.out.WriteString(found.word)
		if found.help != "" {
			c.out.WriteString("\t" + found.help)
		}
		c.out.WriteByte('\n')
	}
	return nil
}

// ask finds out from the words before it what the word is.
func (q *completion) ask(before []string) {
	var pending *option
	onlyArgs := false
	table := optionTable()
	for _, word := range before {
		switch {
		case pending != nil:
			q.take(pending, word)
			pending = nil
		case onlyArgs || word == "-" || !strings.HasPrefix(word, "-"):
			if q.verb != nil {
				q.args = append(q.args, word)
			} else if q.verb = findVerb(word); q.verb == nil {
				return
			}
		case word == "--":
			onlyArgs = true
		case strings.HasPrefix(word, "--"):
			name, value, inline := strings.Cut(word[2:], "=")
			o := findOption(table, q.style, func(o *option) bool { return o.long == name })
			if o != nil && o.arg != "" && inline {
				q.take(o, value)
			} else if o != nil && o.arg != "" {
				pending = o
			} else if o != nil {
				q.take(o, "")
			}
		default:
			last := word[len(word)-1]
			if o := q.findShort(table, last); o != nil && o.arg != "" {
				pending = o
			}
		}
	}
	switch name, value, inline := strings.Cut(q.word, "="); {
	case pending != nil:
		q.offer(pending.arg)
	case !onlyArgs && inline && strings.HasPrefix(name, "--"):
		if o := findOption(table, q.style, func(o *option) bool { return o.long == name[2:] }); o != nil {
			q.word = value
			q.offer(o.arg)
			for i := range q.out {
				if !strings.HasPrefix(q.out[i].word, ":") {
					q.out[i].word = name + "=" + q.out[i].word
				}
			}
		}
	case !onlyArgs && strings.HasPrefix(q.word, "-"):
		q.offerOptions(table)
	case q.verb == nil:
		q.offer("VERB")
	default:
		kinds := argumentKinds(q.verb.args, len(q.args))
		if q.verb.name == "simulate" {
			kinds, q.args = questionKinds(q.args)
		}
		for _, kind := range kinds {
			q.offer(kind)
		}
	}
}

// take notes an option that decides which daemon is asked.
func (q *completion) take(o *option, value string) {
	switch o.long {
	case "address":
		if o.set(&q.options, value) != nil {
			q.options.address = ""
		}
	case "system", "session":
		_ = o.set(&q.options, value) // they take nothing that could be wrong
	}
}

// argumentKinds says what the argument of a verb with that number can be, from
// 0, as its line in the table has it: "[FILE|JOB|DIR...]" is any of three, as
// often as one likes. Small letters are the word itself.
func argumentKinds(args string, number int) []string {
	n := 0
	for _, field := range strings.Fields(args) {
		if field == "--" {
			continue
		}
		repeated := strings.Contains(field, "...")
		field = strings.ReplaceAll(strings.ReplaceAll(field, "[=VALUE]", ""), "...", "")
		if n == number || repeated {
			return strings.Split(strings.Trim(field, "[]"), "|")
		}
		n++
	}
	return nil
}

// add offers a word if it goes on as the typed one does.
func (q *completion) add(word, help string) {
	if strings.HasPrefix(word, q.word) && word != "" && !strings.ContainsAny(word, "\n\t") {
		q.out = append(q.out, candidate{word, strings.Map(oneLine, help)})
	}
}

// oneLine keeps what would end a line of the answer out of it.
func oneLine(r rune) rune {
	if r < ' ' || r == 0x7f {
		return ' '
	}
	return r
}

// offer offers words of a kind, as the tables of verbs and options name it.
func (q *completion) offer(kind string) {
	switch kind {
	case "VERB":
		if q.verb != nil && len(q.args) > 0 {
			return // a second word of help is a stanza's
		}
		for _, v := range verbTable() {
			if !v.initctlOnly || q.style.isInitctl() {
				q.add(v.name, v.help)
			}
		}
	case "STANZA":
		q.offerStanzas()
	case "JOB":
		q.offerJobs()
	case "EVENT":
		q.offerEvents()
	case "KEY=VALUE":
		q.offerVariables()
	case "INSTANCE":
		q.offerInstances()
	case "VARIABLE":
		q.offerTable()
	case "STATE":
		for _, state := range stateNames() {
			q.add(state, "")
		}
	case "PRIORITY":
		for _, priority := range [...]string{"debug", "info", "message", "warn", "error", "fatal"} {
			q.add(priority, "")
		}
	case "SIGNAL":
		for signal := 1; signal < 32; signal++ {
			q.add(job.SignalName(signal), "")
		}
	case "FILE":
		q.out = append(q.out, candidate{offerFiles, ""})
	case "DIR":
		if !slices.Contains(q.out, candidate{offerFiles, ""}) {
			q.out = append(q.out, candidate{offerDirs, ""})
		}
	default:
		if kind == strings.ToLower(kind) {
			q.add(kind, "")
		}
	}
}

func (q *completion) offerOptions(table []option) {
	for i := range table {
		o := &table[i]
		if o.help == "" || !q.style.has(o) || !q.takes(o) {
			continue
		}
		word := "--" + o.long
		if o.arg != "" {
			word += "="
		}
		q.add(word, o.help)
	}
}

// offerStanzas offers what stands in the place of this word, given the words
// before it: the second keyword of "kill timeout" after "kill".
func (q *completion) offerStanzas() {
	seen := make(map[string]bool)
	stanzas := job.Stanzas()
	for i := range stanzas {
		s := &stanzas[i]
		words := strings.Fields(s.Title())
		if s.NotYet || len(words) <= len(q.args) || !slices.Equal(words[:len(q.args)], q.args) {
			continue
		}
		if word := words[len(q.args)]; !seen[word] {
			seen[word] = true
			q.add(word, s.Doc)
		}
	}
}

// offerInstances offers the instances of the job that was typed.
func (q *completion) offerInstances() {
	if len(q.args) == 0 {
		return
	}
	paths, err := q.callStrings(api.JobPath(q.args[0]), api.JobInterface, "GetAllInstances")
	if err != nil {
		return
	}
	for _, path := range paths {
		if _, instance, _, ok := api.ParsePath(path); ok {
			q.add(instance, "")
		}
	}
}

func (q *completion) offerJobs() {
	paths, err := q.callStrings(api.ManagerPath, api.ManagerInterface, "GetAllJobs")
	if err != nil {
		return
	}
	for _, path := range paths {
		if name, _, _, ok := api.ParsePath(path); ok {
			q.add(name, "")
		}
	}
	slices.SortFunc(q.out, func(a, b candidate) int { return strings.Compare(a.word, b.word) })
	if len(q.out) > maxDescribed {
		return
	}
	requests := make([]api.Request, len(q.out))
	for i, found := range q.out {
		requests[i] = api.Request{Path: api.JobPath(found.word), Interface: api.PropertiesInterface, Member: "Get",
			Args: []any{api.JobInterface, "description"}}
	}
	replies, err := q.callAll("", requests...)
	if err != nil {
		return
	}
	for i, reply := range replies {
		if reply.Err == nil {
			help, _ := oneString(reply.Body)
			q.out[i].help = strings.Map(oneLine, help)
		}
	}
}

// conditions gives the operands of the conditions of all jobs, and what they
// emit, as words.
func (q *completion) conditions() [][]string {
	paths, err := q.callStrings(api.ManagerPath, api.ManagerInterface, "GetAllJobs")
	if err != nil {
		return nil
	}
	configs, err := q.readConfigs(paths)
	if err != nil {
		return nil
	}
	var out [][]string
	for _, config := range configs {
		for _, stanza := range config.stanzas {
			for _, word := range stanza.words {
				out = append(out, []string{word})
			}
			for _, words := range stanza.condition {
				if len(words) > 0 && !isOperator(words) {
					out = append(out, words)
				}
			}
		}
	}
	return out
}

// offerEvents offers the events that jobs know of. Those that session-init
// itself emits for jobs are for waiting, not to be emitted by hand.
func (q *completion) offerEvents() {
	var names []string
	if q.verb.name == "wait" && len(q.args) > 0 {
		names = jobEvents()
	} else {
		if q.verb.name != "emit" && q.verb.name != "simulate" {
			names = jobEvents()
		}
		for _, words := range q.conditions() {
			if !strings.ContainsAny(words[0], "*?[") && !contains(jobEvents(), words[0]) {
				names = append(names, words[0])
			}
		}
	}
	slices.Sort(names)
	for _, name := range slices.Compact(names) {
		q.add(name, "")
	}
}

// offerVariables offers KEY= for the job or event that stands before, and
// where a key names the instance, the instances that there are.
func (q *completion) offerVariables() {
	if len(q.args) == 0 {
		return
	}
	var keys []string
	values := make(map[string][]string)
	if strings.HasPrefix(q.verb.args, "EVENT") || q.verb.name == "wait" && len(q.args) == 1 {
		for _, words := range q.conditions() {
			if words[0] != q.args[0] {
				continue
			}
			for _, word := range words[1:] {
				if key, value, found := strings.Cut(word, "="); found && isKey(strings.TrimSuffix(key, "!")) {
					key = strings.TrimSuffix(key, "!")
					keys = append(keys, key)
					if !strings.ContainsAny(value, "*?[$") {
						values[key] = append(values[key], value)
					}
				}
			}
		}
	} else {
		keys, values = q.jobVariables(q.args[0])
	}
	slices.Sort(keys)
	key, _, typed := strings.Cut(q.word, "=")
	for _, have := range slices.Compact(keys) {
		switch {
		case !typed:
			q.add(have+"=", "")
		case have == key:
			slices.Sort(values[key])
			for _, value := range slices.Compact(values[key]) {
				q.add(key+"="+value, "")
			}
		}
	}
}

// jobVariables gives the variables by which a job is asked for: those of its
// instance stanza, of its usage text and of env.
func (q *completion) jobVariables(name string) (keys []string, values map[string][]string) {
	body, err := q.call(api.JobPath(name), api.JobExtension, "GetDefinition")
	if err != nil {
		return nil, nil
	}
	d, err := readDefinition(name, body)
	if err != nil {
		return nil, nil
	}
	class, _ := job.Parse(name, d.file, d.text)
	if class == nil {
		return nil, nil
	}
	keys = variablesOf(class)
	values = make(map[string][]string)
	for _, key := range keys {
		if class.Instance != "$"+key && class.Instance != "${"+key+"}" {
			continue
		}
		paths, err := q.callStrings(api.JobPath(name), api.JobInterface, "GetAllInstances")
		if err != nil {
			return keys, values
		}
		for _, path := range paths {
			if _, instance, _, ok := api.ParsePath(path); ok {
				values[key] = append(values[key], instance)
			}
		}
	}
	return keys, values
}

// variablesOf gives the variables that a job file names for who starts it.
func variablesOf(class *job.Class) []string {
	var keys []string
	for rest := class.Instance; ; {
		_, after, found := strings.Cut(rest, "$")
		if !found {
			break
		}
		after = strings.TrimPrefix(after, "{")
		n := 0
		for n < len(after) && isKey(after[:n+1]) {
			n++
		}
		if n > 0 {
			keys = append(keys, after[:n])
		}
		rest = after[n:]
	}
	for _, word := range strings.FieldsFunc(class.Usage, func(r rune) bool { return strings.ContainsRune(" \t\n[](){}<>,;|'\"", r) }) {
		if key, _, found := strings.Cut(word, "="); found && isKey(key) {
			keys = append(keys, key)
		}
	}
	for _, entry := range class.Env {
		key, _, _ := strings.Cut(entry, "=")
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return slices.Compact(keys)
}

// isKey tells whether a text can be the name of a variable.
func isKey(text string) bool {
	for i, r := range text {
		letter := r == '_' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z'
		if !letter && (i == 0 || r < '0' || r > '9') {
			return false
		}
	}
	return text != ""
}

// offerTable offers the variables of the environment table.
func (q *completion) offerTable() {
	entries, err := q.callStrings(api.ManagerPath, api.ManagerInterface, "ListEnv", q.envTarget())
	if err != nil {
		return
	}
	slices.Sort(entries)
	for _, entry := range entries {
		key, _, _ := strings.Cut(entry, "=")
		if q.verb.name == "set-env" {
			key += "="
		}
		q.add(key, "")
	}
}
