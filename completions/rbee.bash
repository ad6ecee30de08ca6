# shellcheck shell=bash
# Completions of rbee for bash, made by "make generated" of cli/commands.def,
# cli/options.def and completions/logic.bash.

_rbee_commands() {
    REPLY=''
    case $1 in
    .) REPLY='infer	one answer, streamed to stdout
chat	a conversation, with line editing and history
batch	many prompts, JSONL in and out, in parallel, resumable
up	start the supervisor
down	drain the supervisor, stop it and all it started
status	is all well? exit 0 well, 1 degraded, 3 stopped
ps	list the workers
top	the dashboard: workers, requests, GPUs, breakers, events, logs
metrics	what is counted and measured, as Prometheus reads it
wait	block until a worker is in a state, or cannot be
drill	make a worker fail, to see that the alarms work
why	explain a worker'\''s state, and what to do about it
logs	what a worker has written, or the supervisor
events	what happened to the workers
doctor	what would keep this machine from working, each with its fix
bundle	make a support tarball, free of prompts and secrets
bench	measure how fast a model runs on this machine
completion	print the completions for a shell
help	what a command does and its options
worker	the life of one worker
breaker	circuit breakers: they stop starts that will not help
gpu	the graphics cards of this machine
audit	who did what, and whether that is still what was written
model	the GGUF files that can be run
token	what opens the supervisor'\''s port
config	the settings and where they come from' ;;
    worker) REPLY='start	start a worker, and keep it wanted up
stop	let a worker finish what it does, and stop it
restart	let a worker finish what it does, and start it anew
hold	stop a worker and keep it down, over reboots too
release	end a hold; a worker that is wanted up starts
show	everything known about a worker' ;;
    breaker) REPLY='ls	list the circuit breakers of workers and GPUs
show	everything known about a breaker
reset	close a breaker, with all counts at 0
open	refuse starts until a reset; what runs goes on' ;;
    gpu) REPLY='ls	list the GPUs: load, memory, temperature, power
show	everything known about a GPU, and who uses it' ;;
    audit) REPLY='ls	who did what
verify	whether all rows are what was written; exit 1 when not
export	all rows, one JSON object a line
archive	move the first rows into a file
accept	take a trail that does not hold as it is' ;;
    model) REPLY='add	make a GGUF file known under a name
pull	fetch a model: hf:ORG/REPO[:QUANT|/FILE] or a URL
verify	are a model'\''s files what they were? exit 1 when not
ls	list the models
show	everything known about a model
rm	forget a model; its file stays where it is' ;;
    token) REPLY='new	make a token file, and say how to use it' ;;
    config) REPLY='check	say what is wrong with the configuration, if anything is
show	list every setting, its value and its origin
path	print where your configuration file is, or would be' ;;
    *) return 1 ;;
    esac
}

_rbee_options() {
    REPLY=''
    case $1 in
    all) REPLY='--json	print JSON, failures too
--quiet	only errors on stderr
-q	only errors on stderr
--verbose	say more on stderr
-v	say more on stderr
--no-color	no colours; so does NO_COLOR in the environment
--host	where the supervisor is; none is started there
--token-file	the token for http://HOST:PORT
--config	read this configuration and no other
--help	this text
-h	this text
--version	print the version' ;;
    infer) REPLY='--model	a worker, a model, or the path of a GGUF file
-m	a worker, a model, or the path of a GGUF file
--system	system message, or the file that holds it
-s	system message, or the file that holds it
--file	append this file to the prompt; may be repeated
-f	append this file to the prompt; may be repeated
--max-tokens	most tokens of the answer
-n	most tokens of the answer
--temp	temperature; 0 always takes the likeliest token
--top-p	keep the likeliest tokens that hold this share
--top-k	keep the K likeliest tokens; 0: all
--min-p	drop tokens below this share of the likeliest
--repeat-penalty	make the last 64 tokens less likely
--frequency-penalty	less likely for each time in the last 64 tokens
--presence-penalty	less likely where it is in the last 64 tokens
--typical-p	keep the tokens of usual surprise that hold this share
--mirostat	aim at a constant surprise instead; version 1 or 2
--mirostat-tau	the surprise that mirostat aims at
--mirostat-eta	how fast mirostat gets there
--logit-bias	make a token by its number likelier; may be repeated
--logprobs	tell log-probabilities: each token'\''s and N rivals'\''; JSON only
--seed	the same seed gives the same answer
--stop	end the answer before this text; may be repeated
--raw	no chat template: continue the text as it is
--no-stream	print the answer when it is complete
--stream	print the events, one JSON object a line
--stats	say on stderr how many tokens took how long
--output	write here; replaces the file when all is there; - is stdout
-o	write here; replaces the file when all is there; - is stdout
--deadline	give up when there is no answer by then, exit 124
--fail-on-length	exit 3 when a limit cut the answer
--ctx	tokens of context of a worker that this starts
--slots	requests at a time on a worker that this starts
--kv-type	how a worker that this starts keeps keys and values; q8_0 takes a GPU
--device	where a worker that this starts runs; gpu:ID,gpu:ID: on two
--allow-cpu	run on the CPU when the GPU cannot
--no-start	start neither the supervisor nor a worker
--no-stdin	do not read stdin' ;;
    chat) REPLY='--model	a worker, a model, or the path of a GGUF file
-m	a worker, a model, or the path of a GGUF file
--system	system message, or the file that holds it
-s	system message, or the file that holds it
--max-tokens	most tokens of the answer
-n	most tokens of the answer
--temp	temperature; 0 always takes the likeliest token
--top-p	keep the likeliest tokens that hold this share
--top-k	keep the K likeliest tokens; 0: all
--min-p	drop tokens below this share of the likeliest
--repeat-penalty	make the last 64 tokens less likely
--frequency-penalty	less likely for each time in the last 64 tokens
--presence-penalty	less likely where it is in the last 64 tokens
--typical-p	keep the tokens of usual surprise that hold this share
--mirostat	aim at a constant surprise instead; version 1 or 2
--mirostat-tau	the surprise that mirostat aims at
--mirostat-eta	how fast mirostat gets there
--logit-bias	make a token by its number likelier; may be repeated
--seed	the same seed gives the same answer
--stop	end the answer before this text; may be repeated
--stats	say on stderr how many tokens took how long
--deadline	give up when there is no answer by then, exit 124
--ctx	tokens of context of a worker that this starts
--slots	requests at a time on a worker that this starts
--kv-type	how a worker that this starts keeps keys and values; q8_0 takes a GPU
--device	where a worker that this starts runs; gpu:ID,gpu:ID: on two
--allow-cpu	run on the CPU when the GPU cannot
--no-start	start neither the supervisor nor a worker
--no-history	neither read nor keep the lines of earlier chats' ;;
    batch) REPLY='--model	a worker, a model, or the path of a GGUF file
-m	a worker, a model, or the path of a GGUF file
--system	system message, or the file that holds it
-s	system message, or the file that holds it
--max-tokens	most tokens of the answer
-n	most tokens of the answer
--temp	temperature; 0 always takes the likeliest token
--top-p	keep the likeliest tokens that hold this share
--top-k	keep the K likeliest tokens; 0: all
--min-p	drop tokens below this share of the likeliest
--repeat-penalty	make the last 64 tokens less likely
--frequency-penalty	less likely for each time in the last 64 tokens
--presence-penalty	less likely where it is in the last 64 tokens
--typical-p	keep the tokens of usual surprise that hold this share
--mirostat	aim at a constant surprise instead; version 1 or 2
--mirostat-tau	the surprise that mirostat aims at
--mirostat-eta	how fast mirostat gets there
--logit-bias	make a token by its number likelier; may be repeated
--seed	the same seed gives the same answer
--stop	end the answer before this text; may be repeated
--deadline	give up when there is no answer by then, exit 124
--ctx	tokens of context of a worker that this starts
--slots	requests at a time on a worker that this starts
--kv-type	how a worker that this starts keeps keys and values; q8_0 takes a GPU
--device	where a worker that this starts runs; gpu:ID,gpu:ID: on two
--allow-cpu	run on the CPU when the GPU cannot
--no-start	start neither the supervisor nor a worker
--output	append results here; new without --resume; - is stdout
-o	append results here; new without --resume; - is stdout
--jobs	requests at a time
-j	requests at a time
--resume	go on with -o: ask what has no answer there
--max-failures	send nothing more when so many have failed' ;;
    up) REPLY='--foreground	become the supervisor, in this terminal' ;;
    down) REPLY='--drain	how long running requests may go on' ;;
    ps) REPLY='--watch	again and again, until Ctrl-C
--delay	time between two looks of --watch
-d	time between two looks of --watch' ;;
    top) REPLY='--once	print one screen as text, and end
--delay	how long between two looks
-d	how long between two looks
--count	end after N looks
-n	end after N looks
--readonly	no key changes anything
--ascii	draw with ASCII alone
--no-mouse	leave the mouse to the terminal' ;;
    wait) REPLY='--for	what to wait for; closed is its breaker
--timeout	give up after this long, exit 124' ;;
    drill) REPLY='--yes	do not ask' ;;
    logs) REPLY='--follow	go on with what comes, until Ctrl-C
-f	go on with what comes, until Ctrl-C
--lines	begin with the last N lines
-n	begin with the last N lines
--since	begin at this time, or so long ago' ;;
    events) REPLY='--follow	go on with what comes, until Ctrl-C
-f	go on with what comes, until Ctrl-C
--lines	begin with the last N
-n	begin with the last N
--since	begin at this time, or so long ago' ;;
    doctor) REPLY='--root	look at /dev, /proc, /sys, /etc and /var below this folder' ;;
    bundle) REPLY='--output	the file to write or replace; - is stdout
-o	the file to write or replace; - is stdout' ;;
    bench) REPLY='--ctx	tokens of context of a worker that this starts
--kv-type	how a worker that this starts keeps keys and values; q8_0 takes a GPU
--device	where a worker that this starts runs; gpu:ID,gpu:ID: on two
--threads	CPU threads of the worker
--allow-cpu	run on the CPU when the GPU cannot' ;;
    worker-start) REPLY='--model	a model, or the path of a GGUF file
-m	a model, or the path of a GGUF file
--ctx	tokens of context of a worker that this starts
--slots	requests at a time on a worker that this starts
--kv-type	how a worker that this starts keeps keys and values; q8_0 takes a GPU
--device	where a worker that this starts runs; gpu:ID,gpu:ID: on two
--threads	CPU threads of the worker
--allow-cpu	run on the CPU when the GPU cannot
--wait	return when the worker is ready, or stopped' ;;
    worker-stop) REPLY='--wait	return when the worker is ready, or stopped
--force	do not wait for running requests' ;;
    worker-restart) REPLY='--wait	return when the worker is ready, or stopped' ;;
    worker-hold) REPLY='--wait	return when the worker is ready, or stopped
--reason	why, in one line; shown wherever it matters' ;;
    worker-release) REPLY='--wait	return when the worker is ready, or stopped' ;;
    breaker-open) REPLY='--reason	why, in one line; shown wherever it matters' ;;
    audit-ls) REPLY='--follow	go on with what comes, until Ctrl-C
-f	go on with what comes, until Ctrl-C
--lines	begin with the last N
-n	begin with the last N
--since	begin at this time, or so long ago
--actor	only what this one did: uid:N, token:FINGERPRINT, internal' ;;
    audit-verify) REPLY='--head	a head that you kept: it must be in there' ;;
    audit-export) REPLY='--since	begin at this time, or so long ago' ;;
    audit-archive) REPLY='--before	rows of before this time, or older than so long' ;;
    audit-accept) REPLY='--reason	why, in one line; shown wherever it matters' ;;
    model-add) REPLY='--name	the name it is called by' ;;
    model-pull) REPLY='--name	the name it is called by' ;;
    token-new) REPLY='--force	replace a token that is there
--role	what it may do: everything, or ask models' ;;
    *) return 1 ;;
    esac
}

_rbee_values() {
    REPLY=''
    case $1 in
    none:--model | infer:--model | chat:--model | batch:--model | none:-m | infer:-m | chat:-m | batch:-m) REPLY='<worker> <model> <file>' ;;
    worker-start:--model | worker-start:-m) REPLY='<worker> <model> <file>' ;;
    none:--system | infer:--system | chat:--system | batch:--system | none:-s | infer:-s | chat:-s | batch:-s) REPLY='' ;;
    none:--file | infer:--file | none:-f | infer:-f) REPLY='<file>' ;;
    none:--max-tokens | infer:--max-tokens | chat:--max-tokens | batch:--max-tokens | none:-n | infer:-n | chat:-n | batch:-n) REPLY='' ;;
    none:--temp | infer:--temp | chat:--temp | batch:--temp) REPLY='' ;;
    none:--top-p | infer:--top-p | chat:--top-p | batch:--top-p) REPLY='' ;;
    none:--top-k | infer:--top-k | chat:--top-k | batch:--top-k) REPLY='' ;;
    none:--min-p | infer:--min-p | chat:--min-p | batch:--min-p) REPLY='' ;;
    none:--repeat-penalty | infer:--repeat-penalty | chat:--repeat-penalty | batch:--repeat-penalty) REPLY='' ;;
    none:--frequency-penalty | infer:--frequency-penalty | chat:--frequency-penalty | batch:--frequency-penalty) REPLY='' ;;
    none:--presence-penalty | infer:--presence-penalty | chat:--presence-penalty | batch:--presence-penalty) REPLY='' ;;
    none:--typical-p | infer:--typical-p | chat:--typical-p | batch:--typical-p) REPLY='' ;;
    none:--mirostat | infer:--mirostat | chat:--mirostat | batch:--mirostat) REPLY='0 1 2' ;;
    none:--mirostat-tau | infer:--mirostat-tau | chat:--mirostat-tau | batch:--mirostat-tau) REPLY='' ;;
    none:--mirostat-eta | infer:--mirostat-eta | chat:--mirostat-eta | batch:--mirostat-eta) REPLY='' ;;
    none:--logit-bias | infer:--logit-bias | chat:--logit-bias | batch:--logit-bias) REPLY='' ;;
    none:--logprobs | infer:--logprobs) REPLY='' ;;
    none:--seed | infer:--seed | chat:--seed | batch:--seed) REPLY='' ;;
    none:--stop | infer:--stop | chat:--stop | batch:--stop) REPLY='' ;;
    none:--stream | infer:--stream) REPLY='ndjson' ;;
    none:--output | infer:--output | none:-o | infer:-o) REPLY='<file>' ;;
    none:--deadline | infer:--deadline | chat:--deadline | batch:--deadline) REPLY='' ;;
    none:--ctx | infer:--ctx | chat:--ctx | batch:--ctx | bench:--ctx | worker-start:--ctx) REPLY='' ;;
    none:--slots | infer:--slots | chat:--slots | batch:--slots | worker-start:--slots) REPLY='' ;;
    none:--kv-type | infer:--kv-type | chat:--kv-type | batch:--kv-type | bench:--kv-type | worker-start:--kv-type) REPLY='f16 q8_0' ;;
    none:--device | infer:--device | chat:--device | batch:--device | bench:--device | worker-start:--device) REPLY='cpu gpu <gpu>' ;;
    none:--threads | bench:--threads | worker-start:--threads) REPLY='' ;;
    batch:--output | batch:-o) REPLY='<file>' ;;
    none:--jobs | batch:--jobs | none:-j | batch:-j) REPLY='' ;;
    none:--max-failures | batch:--max-failures) REPLY='' ;;
    none:--delay | ps:--delay | none:-d | ps:-d) REPLY='' ;;
    none:--root | doctor:--root) REPLY='<file>' ;;
    bundle:--output | bundle:-o) REPLY='<file>' ;;
    none:--drain | down:--drain) REPLY='' ;;
    none:--for | wait:--for) REPLY='ready idle stopped closed' ;;
    none:--timeout | wait:--timeout) REPLY='' ;;
    none:--role | token-new:--role) REPLY='admin infer' ;;
    none:--reason | worker-hold:--reason | breaker-open:--reason | audit-accept:--reason) REPLY='' ;;
    top:--delay | top:-d) REPLY='' ;;
    none:--count | top:--count | top:-n) REPLY='' ;;
    none:--lines | events:--lines | audit-ls:--lines | events:-n | audit-ls:-n) REPLY='' ;;
    logs:--lines | logs:-n) REPLY='' ;;
    none:--since | logs:--since | events:--since | audit-ls:--since | audit-export:--since) REPLY='' ;;
    none:--actor | audit-ls:--actor) REPLY='' ;;
    none:--before | audit-archive:--before) REPLY='' ;;
    none:--head | audit-verify:--head) REPLY='' ;;
    none:--name | model-add:--name | model-pull:--name) REPLY='' ;;
    *:--host) REPLY='' ;;
    *:--token-file) REPLY='<file>' ;;
    *:--config) REPLY='<file>' ;;
    *) return 1 ;;
    esac
}

_rbee_operands() {
    REPLY=''
    case $1 in
    batch:0) REPLY='<file>' ;;
    wait:0) REPLY='<worker>' ;;
    drill:0) REPLY='crash hang oom slow gpu-fault' ;;
    drill:1) REPLY='<worker>' ;;
    why:0) REPLY='<worker>' ;;
    logs:0) REPLY='<worker>' ;;
    events:0) REPLY='<worker>' ;;
    bench:0) REPLY='<model> <file>' ;;
    worker-start:0) REPLY='<worker> <model>' ;;
    worker-stop:0) REPLY='<worker>' ;;
    worker-restart:0) REPLY='<worker>' ;;
    worker-hold:0) REPLY='<worker>' ;;
    worker-release:0) REPLY='<worker>' ;;
    worker-show:0) REPLY='<worker>' ;;
    breaker-show:0) REPLY='<breaker>' ;;
    breaker-reset:0) REPLY='<breaker>' ;;
    breaker-open:0) REPLY='<breaker>' ;;
    gpu-show:0) REPLY='<gpu>' ;;
    model-add:0) REPLY='<file>' ;;
    model-verify:0) REPLY='<model>' ;;
    model-show:0) REPLY='<model>' ;;
    model-rm:0) REPLY='<model>' ;;
    completion:0) REPLY='bash zsh fish' ;;
    help:0) REPLY='<command>' ;;
    help:1) REPLY='<command>' ;;
    *) return 1 ;;
    esac
}

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
