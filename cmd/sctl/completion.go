package main

import "fmt"

// showCompletion prints the script that makes a shell complete command lines.
// Those in share/completions are what it prints.
func showCompletion(c *command) error {
	if len(c.args) == 0 {
		return usageError("missing name of a shell")
	}
	script, known := completionScript(c.args[0])
	if !known {
		return usageError(fmt.Sprintf("there is no completion for '%s', only for bash, zsh and fish", c.args[0]))
	}
	c.out.WriteString(script)
	return nil
}

func completionScript(shell string) (script string, known bool) {
	switch shell {
	case "bash":
		return bashCompletion, true
	case "zsh":
		return zshCompletion, true
	case "fish":
		return fishCompletion, true
	}
	return "", false
}

// The scripts know nothing of verbs, options and jobs: they hand the words up
// to the cursor to "sctl __complete", which answers with a candidate a line.

// bashCompletion puts words together that bash divides at "=" and ":", and
// takes from the candidates what stands before the last of these.
const bashCompletion = `# Completion of sctl and its links for bash, printed by "sctl completion bash".

_sctl() {
	local -a words=()
	local i word blankless rest=$COMP_LINE
	for ((i = 0; i <= COMP_CWORD; i++)); do
		word=${COMP_WORDS[i]}
		blankless=${rest#"${rest%%[![:blank:]]*}"}
		if ((i > 0)) && [[ -n $word && $blankless == "$rest" ]]; then
			words[${#words[@]}-1]+=$word
		else
			words+=("$word")
		fi
		rest=${blankless#"$word"}
	done
	local current=${words[${#words[@]}-1]}
	local cut=${current%"${current##*[=:]}"}
	[[ $COMP_WORDBREAKS == *[=:]* ]] || cut=
	local line kind=
	COMPREPLY=()
	while IFS= read -r line; do
		case $line in
		:files) kind=file ;;
		:directories) kind=directory ;;
		*)
			line=${line%%$'\t'*}
			printf -v word %q "${line#"$cut"}"
			COMPREPLY+=("$word")
			;;
		esac
	done < <(command sctl __complete "${words[@]}" 2>/dev/null)
	if [[ -n $kind ]]; then
		compopt -o filenames 2>/dev/null
		while IFS= read -r line; do
			COMPREPLY+=("$line")
		done < <(compgen -A "$kind" -- "${current#"$cut"}")
	fi
	if ((${#COMPREPLY[@]} == 1)) && [[ ${COMPREPLY[0]} == *= ]]; then
		compopt -o nospace 2>/dev/null
	fi
}

complete -F _sctl sctl initctl start stop restart reload status emit
`

const zshCompletion = `#compdef sctl initctl start stop restart reload status emit
# Completion of sctl and its links for zsh, printed by "sctl completion zsh".

_sctl() {
	local line word
	local -a described open
	for line in "${(@f)$(command sctl __complete "${(@)words[1,CURRENT]}" 2>/dev/null)}"; do
		case $line in
		'') ;;
		:files) _files ;;
		:directories) _files -/ ;;
		*)
			word=${line%%$'\t'*}
			if [[ $word == *= ]]; then
				open+=("$word")
			else
				described+=("${word//:/\\:}:${${line#"$word"}#$'\t'}")
			fi
			;;
		esac
	done
	(( $#open )) && compadd -S '' -a open
	(( $#described )) && _describe -t sctl sctl described
	return 0
}

if [[ $funcstack[1] == _sctl ]]; then
	_sctl "$@"
else
	compdef _sctl sctl initctl start stop restart reload status emit
fi
`

const fishCompletion = `# Completion of sctl and its links for fish, printed by "sctl completion fish".

function __sctl_complete
	set -l current (commandline -ct)
	for line in (command sctl __complete (commandline -opc) "$current" 2>/dev/null)
		switch $line
			case :files
				__fish_complete_path "$current"
			case :directories
				__fish_complete_directories "$current"
			case '*'
				echo $line
		end
	end
end

# status and emit are fish's own, with completions of its own, which would be
# mixed with ours.
for name in sctl initctl start stop restart reload
	complete -c $name -f -a '(__sctl_complete)'
end
`
