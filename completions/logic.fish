# Offers what a hint names, each with PREFIX before it.
function __rbee_offer # HINT PREFIX OPERAND CONNECTION...
    for word in (string split -n ' ' -- $argv[1])
        switch $word
            case '<file>'
                __fish_complete_path (string replace -r '^--[^=]*=' '' -- (commandline -ct)) | string replace -r '^' -- $argv[2]
            case '<command>'
                set -l key $argv[3]
                test -n "$key"; or set key .
                __rbee_commands $key
            case '<*>'
                set -l names (string trim -c '<>' -- $word)s
                command rbee completion $names $argv[4..-1] 2>/dev/null </dev/null | string replace -r '^' -- $argv[2]
            case '*'
                echo $argv[2]$word
        end
    end
end

# What may stand at the cursor, one a line.
function __rbee_complete
    set -l words (commandline -opc)
    set -l text (commandline -ct)
    set -l command
    set -l group
    set -l operands
    set -l connection
    set -l pending
    set -l is_ended
    for word in $words[2..-1]
        set -l key $command none
        if test -n "$pending"
            contains -- $pending --host --config; and set -a connection $pending $word
            set pending
        else if string match -q -- -- $word; and test -z "$is_ended"
            set is_ended 1
        else if string match -q -- '--*=*' $word; and test -z "$is_ended"
            set -l parts (string split -m 1 = -- $word)
            contains -- $parts[1] --host --config; and set -a connection $parts
        else if string match -q -- '-?*' $word; and test -z "$is_ended"
            __rbee_values $key[1]:$word >/dev/null; and set pending $word
        else if test -n "$command"
            set -a operands $word
        else if test -n "$group"
            set command $group-$word
        else if __rbee_commands $word >/dev/null
            set group $word
        else
            set command $word
        end
    end
    set -l key $command none
    if test -n "$pending"
        set -l hint (__rbee_values $key[1]:$pending)
        __rbee_offer "$hint" '' '' $connection
    else if string match -q -- '--*=*' $text; and test -z "$is_ended"
        set -l option (string split -m 1 = -- $text)[1]
        set -l hint (__rbee_values $key[1]:$option)
        __rbee_offer "$hint" $option= '' $connection
    else if string match -q -- '-*' $text; and test -z "$is_ended"
        __rbee_options $key[1]
        __rbee_options all
    else if test -z "$command"
        set -l key $group .
        __rbee_commands $key[1]
    else
        set -l hint (__rbee_operands $command:(count $operands))
        __rbee_offer "$hint" '' "$operands[1]" $connection
    end
end

complete -c rbee -f -a '(__rbee_complete)'
