# bash completion for sumi(1). What there is to choose from is asked of the program itself.

_sumi() {
	local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} verb=${COMP_WORDS[1]}
	COMPREPLY=()
	if [ "$COMP_CWORD" -eq 1 ]; then
		COMPREPLY=($(compgen -W "$(sumi --help 2>/dev/null | sed -n 's/^  \([a-z-]*\) .*/\1/p')" -- "$word"))
		return
	fi
	case $before in
	--state | -s)
		COMPREPLY=($(compgen -W 'ready delayed blocked running done failed cancelled' -- "$word"))
		return ;;
	--model | -m)
		COMPREPLY=($(compgen -W "$(sumi models 2>/dev/null | sed 's/ .*//')" -- "$word"))
		return ;;
	--device | -d)
		COMPREPLY=($(compgen -W "$(sumi devices 2>/dev/null | sed 's/ .*//')" -- "$word"))
		return ;;
	--*)
		local words
		words=$(sumi "$verb" --help 2>/dev/null |
			sed -n "s/^  \(-., \|    \)$before \([a-z0-9.]*|[a-z0-9.|]*\) .*/\2/p" | tr '|' ' ')
		if [ -n "$words" ]; then
			COMPREPLY=($(compgen -W "$words" -- "$word"))
			return
		fi ;;
	esac
	if [[ $word == -* ]]; then
		COMPREPLY=($(compgen -W "$(sumi "$verb" --help 2>/dev/null |
			sed -n 's/^  \(-., \|    \)\(--[a-z-]*\).*/\2/p')" -- "$word"))
		return
	fi
	case $verb in
	preprocess)
		if [ "$COMP_CWORD" -eq 2 ]; then
			COMPREPLY=($(compgen -W 'canny lineart scribble luminance blur' -- "$word"))
		else
			COMPREPLY=($(compgen -f -- "$word"))
		fi ;;
	show | watch | wait | fetch | open | cancel | retry | delete | star | unstar)
		COMPREPLY=($(compgen -W "$(sumi list --quiet --limit 200 2>/dev/null)" -- "$word"))
		[ "$verb" = show ] && COMPREPLY+=($(compgen -f -- "$word")) ;;
	keys) COMPREPLY=($(compgen -W 'add list revoke' -- "$word")) ;;
	db) COMPREPLY=($(compgen -W 'check backup restore vacuum rebuild' -- "$word")) ;;
	esac
}
complete -o default -F _sumi sumi
