# Reads the words before the cursor's: command (or group), operands, and in "pending" an option whose
# value comes next.
_rbee_scan() {
    local word
    integer i
    for ((i = 2; i < CURRENT; i++)); do
        word=${(Q)words[i]}
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

# Offers what a hint names.
_rbee_offer() { # HINT
    local word
    local -a names
    for word in ${=1}; do
        case $word in
        '<file>') _files ;;
        '<command>') ! _rbee_commands "${operands[1]:-.}" || _rbee_describe command "$REPLY" ;;
        '<'*'>')
            names=(${(f)"$(command rbee completion "${${word#<}%>}s" $connection 2>/dev/null </dev/null)"})
            compadd -- $names
            ;;
        *) compadd -- "$word" ;;
        esac
    done
}

# A list of words, each with what it is.
_rbee_describe() { # KIND LINES
    local line
    local -a items
    for line in ${(f)2}; do
        items+=("${${line%%$'\t'*}//:/\\:}:${line#*$'\t'}")
    done
    _describe "$1" items
}

_rbee_offer_value() { # OPTION
    ! _rbee_values "${command:-none}:$1" || _rbee_offer "$REPLY"
}

_rbee() {
    local text=$PREFIX pending='' command='' group='' is_ended='' REPLY lines=''
    local -a operands connection
    _rbee_scan
    if [[ -n $pending ]]; then
        _rbee_offer_value "$pending"
    elif [[ $text == --*=* && -z $is_ended ]]; then
        compset -P '*='
        _rbee_offer_value "${text%%=*}"
    elif [[ $text == -* && -z $is_ended ]]; then
        ! _rbee_options "${command:-none}" || lines=$REPLY$'\n'
        _rbee_options all
        _rbee_describe option "$lines$REPLY"
    elif [[ -z $command ]]; then
        ! _rbee_commands "${group:-.}" || _rbee_describe command "$REPLY"
    elif _rbee_operands "$command:${#operands}"; then
        _rbee_offer "$REPLY"
    fi
}

# As a file of $fpath it is called to complete; read by hand it says what it is for.
if [[ ${funcstack[1]-} == _rbee ]]; then
    _rbee "$@"
else
    compdef _rbee rbee
fi
