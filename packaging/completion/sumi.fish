# fish completion for sumi(1). What there is to choose from is asked of the program itself.

function __sumi_verbs
	sumi --help 2>/dev/null | string replace -rf '^  ([a-z-]+) +(.*)$' '$1\t$2'
end
function __sumi_verb
	set -l words (commandline -opc)
	test (count $words) -gt 1; and echo $words[2]
end
function __sumi_options
	sumi (__sumi_verb) --help 2>/dev/null | string replace -rf '^  (?:-., |    )(--[a-z-]+)(?: \S+)?  +(.*)$' '$1\t$2'
end

complete -c sumi -n 'test (count (commandline -opc)) -eq 1' -f -a '(__sumi_verbs)'
complete -c sumi -n 'string match -q -- "-*" (commandline -ct)' -a '(__sumi_options)'
complete -c sumi -n 'contains -- (__sumi_verb) watch wait fetch open cancel retry delete star unstar' -f -a '(sumi list --quiet --limit 200 2>/dev/null)'
complete -c sumi -n 'contains -- (__sumi_verb) show' -a '(sumi list --quiet --limit 200 2>/dev/null)'
complete -c sumi -n 'contains -- (__sumi_verb) keys' -f -a 'add list revoke'
complete -c sumi -n 'contains -- (__sumi_verb) db' -f -a 'check backup restore vacuum rebuild'
function __sumi_words
	set -l before (commandline -opc)[-1]
	sumi (__sumi_verb) --help 2>/dev/null | string replace -rf "^  (?:-., |    )$before ([a-z0-9.]+\|[a-z0-9.|]+) .*" '$1' | string split '|'
end
complete -c sumi -n 'test -n "$(__sumi_words)"' -f -a '(__sumi_words)'
