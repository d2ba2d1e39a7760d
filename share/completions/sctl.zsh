#compdef sctl initctl start stop restart reload status emit
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
