# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Completion of vmctl for bash: what can stand at a place is asked of vmctl itself.

_vmctl() {
	local line=${COMP_LINE:0:COMP_POINT} word before offered words=() files=()
	# By blanks alone: bash's own words are cut at ":" and "=" too.
	read -ra words <<<"$line"
	[[ $line != *[[:blank:]] ]] || words+=('')
	word=${words[-1]}
	# Of a word that is cut, bash puts what is offered in the place of the last part.
	before=${word%"${word##*[:=]}"}
	COMPREPLY=()
	while IFS=$'\t' read -r offered _; do
		if [[ $offered = :files ]]; then
			mapfile -t files < <(compgen -f -- "${word#"$before"}")
		else
			COMPREPLY+=("${offered#"$before"}")
		fi
	done < <("${words[0]}" __complete "${words[@]:1}" 2>/dev/null)
	# What is a name of a VM too would be quoted as a file's.
	[[ ${#COMPREPLY[@]} -ne 0 ]] || compopt -o filenames 2>/dev/null
	COMPREPLY+=("${files[@]}")
	# A list goes on with a comma, and what ends in a colon with a path.
	[[ ${#COMPREPLY[@]} -ne 1 || $word != *,* && ${COMPREPLY[0]} != *: ]] ||
		compopt -o nospace 2>/dev/null
}

complete -F _vmctl vmctl
