# Completion of sctl and its links for bash, printed by "sctl completion bash".

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
