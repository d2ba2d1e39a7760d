# Completion of sctl and its links for fish, printed by "sctl completion fish".

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
