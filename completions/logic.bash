# What stands before the cursor as the array "words". Bash takes "=" and ":" for ends of words; rbee
# does not (--device=gpu:0000:03:00.0).
_rbee_read_words() {
    local line=${COMP_LINE:0:COMP_POINT} word i
    words=()
    for ((i = 0; i <= COMP_CWORD; i++)); do
        word=${COMP_WORDS[i]}
        if [[ ${#words[@]} -eq 0 || $line == [[:blank:]]* ]]; then
            line=${line#"${line%%[![:blank:]]*}"}
            words+=('')
        fi
        word=${word:0:${#line}} # no more than what is before the cursor
        words[${#words[@]} - 1]+=$word
        line=${line:${#word}}
    done
}

# Reads the words before the last one: command (or group), operands, and in "pending" an option whose
# value comes next.
_rbee_scan() {
    local word i
    for ((i = 1; i < ${#words[@]} - 1; i++)); do
        word=${words[i]}
        if [[ -n $pending ]]; then
            _rbee_connect "$pending" "$word"
            pending=
        elif [[ $word == -- && -z $is_ended ]]; then
            is_ended=1
        elif [[ $word == --*=* && -z $is_ended ]]; then
            _rbee_connect "${word%%=*}" "${word#*=}"
        elif [[ $word == -?* && -z $is_ended ]]; then
            ! _rbee_values "${command:-none}:$word" || pending=$word
        else
            _rbee_take_word "$word"
        fi
    done
}

_rbee_take_word() { # WORD
    if [[ -n $command ]]; then
        operands+=("$1")
    elif [[ -n $group ]]; then
        command=$group-$1
    elif _rbee_commands "$1"; then
        group=$1
    else
        command=$1
    fi
}

# Names come from the supervisor that the command line is for.
_rbee_connect() { # OPTION VALUE
    case $1 in
    --host | --config) connection+=("$1" "$2") ;;
    esac
}

# Offers what a hint names and TEXT begins. Names are read line by line and compared, never expanded.
_rbee_offer() { # HINT TEXT
    local word wants_files=
    local -a hint
    read -ra hint <<<"$1"
    for word in "${hint[@]}"; do
        case $word in
        '<file>') wants_files=1 ;;
        '<command>') _rbee_offer_commands "$2" ;;
        '<'*'>')
            word=${word#<}
            _rbee_offer_lines "$2" < <(command rbee completion "${word%>}s" "${connection[@]}" 2>/dev/null </dev/null)
            ;;
        *) _rbee_offer_lines "$2" <<<"$word" ;;
        esac
    done
    # Where no name fits, readline completes files, with its own rules of quoting.
    [[ -z $wants_files || ${#COMPREPLY[@]} -gt 0 ]] || compopt -o default 2>/dev/null
}

# The first words of those lines on stdin that TEXT begins.
_rbee_offer_lines() { # TEXT
    local line
    while IFS= read -r line; do
        line=${line%%$'\t'*}
        [[ -z $line || $line != "$1"* ]] || COMPREPLY+=("$line")
    done
}

# The words of a command as operands: of "rbee help".
_rbee_offer_commands() { # TEXT
    local key=${operands[0]:-.}
    ! _rbee_commands "$key" || _rbee_offer_lines "$1" <<<"$REPLY"
}

_rbee_offer_options() { # TEXT
    ! _rbee_options "${command:-none}" || _rbee_offer_lines "$1" <<<"$REPLY"
    ! _rbee_options all || _rbee_offer_lines "$1" <<<"$REPLY"
}

# Readline replaces what comes after the last end of a word alone.
_rbee_cut_prefix() { # PREFIX
    local i
    for ((i = 0; i < ${#COMPREPLY[@]}; i++)); do
        COMPREPLY[i]=${COMPREPLY[i]#"$1"}
    done
}

_rbee_offer_value() { # OPTION TEXT
    ! _rbee_values "${command:-none}:$1" || _rbee_offer "$REPLY" "$2"
}

_rbee() {
    local text pending='' command='' group='' is_ended='' IFS=$' \t\n' REPLY
    local -a words operands=() connection=()
    COMPREPLY=()
    _rbee_read_words
    _rbee_scan
    text=${words[${#words[@]} - 1]}
    if [[ -n $pending ]]; then
        _rbee_offer_value "$pending" "$text"
    elif [[ $text == --*=* && -z $is_ended ]]; then
        _rbee_offer_value "${text%%=*}" "${text#*=}"
        text=${text#*=}
    elif [[ $text == -* && -z $is_ended ]]; then
        _rbee_offer_options "$text"
    elif [[ -z $command ]]; then
        ! _rbee_commands "${group:-.}" || _rbee_offer_lines "$text" <<<"$REPLY"
    elif _rbee_operands "$command:${#operands[@]}"; then
        _rbee_offer "$REPLY" "$text"
    fi
    [[ $text != *:* || $COMP_WORDBREAKS != *:* ]] || _rbee_cut_prefix "${text%:*}:"
}

complete -F _rbee rbee
