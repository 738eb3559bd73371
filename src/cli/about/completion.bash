_weir() {
    # Bash cuts words at : and =, so what stands together on the line is put together again.
    local line="${COMP_LINE:0:COMP_POINT}" words=() at gap piece
    for ((at = 0; at <= COMP_CWORD; at++)); do
        gap="${line%%[![:space:]]*}" piece="${COMP_WORDS[at]}"
        line="${line#"$gap"}"
        if ((at == COMP_CWORD)); then
            piece="$line"
            [[ "$piece" == *"$2" ]] || piece="$2"
        fi
        if ((at == 0)) || [[ -n "$gap" ]]; then
            words+=("$piece")
        else
            words[${#words[@]} - 1]+="$piece"
        fi
        line="${line#"$piece"}"
    done
    local index=$((${#words[@]} - 1)) IFS=$'\013'
    COMPREPLY=($(COMPLETE=bash _CLAP_COMPLETE_INDEX="$index" _CLAP_IFS="$IFS" weir -- "${words[@]}" 2> /dev/null))
    # Bash puts a reply in the place of $2 alone.
    COMPREPLY=("${COMPREPLY[@]#"${words[index]%"$2"}"}")
    if [[ "${COMPREPLY[0]-}" == *[=/:] ]]; then
        compopt -o nospace 2> /dev/null
    fi
}
if ((BASH_VERSINFO[0] * 100 + BASH_VERSINFO[1] >= 404)); then
    complete -o bashdefault -o nosort -F _weir weir
else
    complete -o bashdefault -F _weir weir
fi
