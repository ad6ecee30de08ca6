# Completions of rbee for fish, made by "make generated" of cli/commands.def,
# cli/options.def and completions/logic.fish.

function __rbee_commands
    switch $argv[1]
        case .
            echo 'infer	one answer, streamed to stdout
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
why	explain a worker\'s state, and what to do about it
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
token	what opens the supervisor\'s port
config	the settings and where they come from'
        case worker
            echo 'start	start a worker, and keep it wanted up
stop	let a worker finish what it does, and stop it
restart	let a worker finish what it does, and start it anew
hold	stop a worker and keep it down, over reboots too
release	end a hold; a worker that is wanted up starts
show	everything known about a worker'
        case breaker
            echo 'ls	list the circuit breakers of workers and GPUs
show	everything known about a breaker
reset	close a breaker, with all counts at 0
open	refuse starts until a reset; what runs goes on'
        case gpu
            echo 'ls	list the GPUs: load, memory, temperature, power
show	everything known about a GPU, and who uses it'
        case audit
            echo 'ls	who did what
verify	whether all rows are what was written; exit 1 when not
export	all rows, one JSON object a line
archive	move the first rows into a file
accept	take a trail that does not hold as it is'
        case model
            echo 'add	make a GGUF file known under a name
pull	fetch a model: hf:ORG/REPO[:QUANT|/FILE] or a URL
verify	are a model\'s files what they were? exit 1 when not
ls	list the models
show	everything known about a model
rm	forget a model; its file stays where it is'
        case token
            echo 'new	make a token file, and say how to use it'
        case config
            echo 'check	say what is wrong with the configuration, if anything is
show	list every setting, its value and its origin
path	print where your configuration file is, or would be'
        case '*'
            return 1
    end
end

function __rbee_options
    switch $argv[1]
        case all
            echo '--json	print JSON, failures too
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
--version	print the version'
        case infer
            echo '--model	a worker, a model, or the path of a GGUF file
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
--logprobs	tell log-probabilities: each token\'s and N rivals\'; JSON only
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
--no-stdin	do not read stdin'
        case chat
            echo '--model	a worker, a model, or the path of a GGUF file
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
--no-history	neither read nor keep the lines of earlier chats'
        case batch
            echo '--model	a worker, a model, or the path of a GGUF file
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
--max-failures	send nothing more when so many have failed'
        case up
            echo '--foreground	become the supervisor, in this terminal'
        case down
            echo '--drain	how long running requests may go on'
        case ps
            echo '--watch	again and again, until Ctrl-C
--delay	time between two looks of --watch
-d	time between two looks of --watch'
        case top
            echo '--once	print one screen as text, and end
--delay	how long between two looks
-d	how long between two looks
--count	end after N looks
-n	end after N looks
--readonly	no key changes anything
--ascii	draw with ASCII alone
--no-mouse	leave the mouse to the terminal'
        case wait
            echo '--for	what to wait for; closed is its breaker
--timeout	give up after this long, exit 124'
        case drill
            echo '--yes	do not ask'
        case logs
            echo '--follow	go on with what comes, until Ctrl-C
-f	go on with what comes, until Ctrl-C
--lines	begin with the last N lines
-n	begin with the last N lines
--since	begin at this time, or so long ago'
        case events
            echo '--follow	go on with what comes, until Ctrl-C
-f	go on with what comes, until Ctrl-C
--lines	begin with the last N
-n	begin with the last N
--since	begin at this time, or so long ago'
        case doctor
            echo '--root	look at /dev, /proc, /sys, /etc and /var below this folder'
        case bundle
            echo '--output	the file to write or replace; - is stdout
-o	the file to write or replace; - is stdout'
        case bench
            echo '--ctx	tokens of context of a worker that this starts
--kv-type	how a worker that this starts keeps keys and values; q8_0 takes a GPU
--device	where a worker that this starts runs; gpu:ID,gpu:ID: on two
--threads	CPU threads of the worker
--allow-cpu	run on the CPU when the GPU cannot'
        case worker-start
            echo '--model	a model, or the path of a GGUF file
-m	a model, or the path of a GGUF file
--ctx	tokens of context of a worker that this starts
--slots	requests at a time on a worker that this starts
--kv-type	how a worker that this starts keeps keys and values; q8_0 takes a GPU
--device	where a worker that this starts runs; gpu:ID,gpu:ID: on two
--threads	CPU threads of the worker
--allow-cpu	run on the CPU when the GPU cannot
--wait	return when the worker is ready, or stopped'
        case worker-stop
            echo '--wait	return when the worker is ready, or stopped
--force	do not wait for running requests'
        case worker-restart
            echo '--wait	return when the worker is ready, or stopped'
        case worker-hold
            echo '--wait	return when the worker is ready, or stopped
--reason	why, in one line; shown wherever it matters'
        case worker-release
            echo '--wait	return when the worker is ready, or stopped'
        case breaker-open
            echo '--reason	why, in one line; shown wherever it matters'
        case audit-ls
            echo '--follow	go on with what comes, until Ctrl-C
-f	go on with what comes, until Ctrl-C
--lines	begin with the last N
-n	begin with the last N
--since	begin at this time, or so long ago
--actor	only what this one did: uid:N, token:FINGERPRINT, internal'
        case audit-verify
            echo '--head	a head that you kept: it must be in there'
        case audit-export
            echo '--since	begin at this time, or so long ago'
        case audit-archive
            echo '--before	rows of before this time, or older than so long'
        case audit-accept
            echo '--reason	why, in one line; shown wherever it matters'
        case model-add
            echo '--name	the name it is called by'
        case model-pull
            echo '--name	the name it is called by'
        case token-new
            echo '--force	replace a token that is there
--role	what it may do: everything, or ask models'
        case '*'
            return 1
    end
end

function __rbee_values
    switch $argv[1]
        case none:--model infer:--model chat:--model batch:--model none:-m infer:-m chat:-m batch:-m
            echo '<worker> <model> <file>'
        case worker-start:--model worker-start:-m
            echo '<worker> <model> <file>'
        case none:--system infer:--system chat:--system batch:--system none:-s infer:-s chat:-s batch:-s
            echo ''
        case none:--file infer:--file none:-f infer:-f
            echo '<file>'
        case none:--max-tokens infer:--max-tokens chat:--max-tokens batch:--max-tokens none:-n infer:-n chat:-n batch:-n
            echo ''
        case none:--temp infer:--temp chat:--temp batch:--temp
            echo ''
        case none:--top-p infer:--top-p chat:--top-p batch:--top-p
            echo ''
        case none:--top-k infer:--top-k chat:--top-k batch:--top-k
            echo ''
        case none:--min-p infer:--min-p chat:--min-p batch:--min-p
            echo ''
        case none:--repeat-penalty infer:--repeat-penalty chat:--repeat-penalty batch:--repeat-penalty
            echo ''
        case none:--frequency-penalty infer:--frequency-penalty chat:--frequency-penalty batch:--frequency-penalty
            echo ''
        case none:--presence-penalty infer:--presence-penalty chat:--presence-penalty batch:--presence-penalty
            echo ''
        case none:--typical-p infer:--typical-p chat:--typical-p batch:--typical-p
            echo ''
        case none:--mirostat infer:--mirostat chat:--mirostat batch:--mirostat
            echo '0 1 2'
        case none:--mirostat-tau infer:--mirostat-tau chat:--mirostat-tau batch:--mirostat-tau
            echo ''
        case none:--mirostat-eta infer:--mirostat-eta chat:--mirostat-eta batch:--mirostat-eta
            echo ''
        case none:--logit-bias infer:--logit-bias chat:--logit-bias batch:--logit-bias
            echo ''
        case none:--logprobs infer:--logprobs
            echo ''
        case none:--seed infer:--seed chat:--seed batch:--seed
            echo ''
        case none:--stop infer:--stop chat:--stop batch:--stop
            echo ''
        case none:--stream infer:--stream
            echo 'ndjson'
        case none:--output infer:--output none:-o infer:-o
            echo '<file>'
        case none:--deadline infer:--deadline chat:--deadline batch:--deadline
            echo ''
        case none:--ctx infer:--ctx chat:--ctx batch:--ctx bench:--ctx worker-start:--ctx
            echo ''
        case none:--slots infer:--slots chat:--slots batch:--slots worker-start:--slots
            echo ''
        case none:--kv-type infer:--kv-type chat:--kv-type batch:--kv-type bench:--kv-type worker-start:--kv-type
            echo 'f16 q8_0'
        case none:--device infer:--device chat:--device batch:--device bench:--device worker-start:--device
            echo 'cpu gpu <gpu>'
        case none:--threads bench:--threads worker-start:--threads
            echo ''
        case batch:--output batch:-o
            echo '<file>'
        case none:--jobs batch:--jobs none:-j batch:-j
            echo ''
        case none:--max-failures batch:--max-failures
            echo ''
        case none:--delay ps:--delay none:-d ps:-d
            echo ''
        case none:--root doctor:--root
            echo '<file>'
        case bundle:--output bundle:-o
            echo '<file>'
        case none:--drain down:--drain
            echo ''
        case none:--for wait:--for
            echo 'ready idle stopped closed'
        case none:--timeout wait:--timeout
            echo ''
        case none:--role token-new:--role
            echo 'admin infer'
        case none:--reason worker-hold:--reason breaker-open:--reason audit-accept:--reason
            echo ''
        case top:--delay top:-d
            echo ''
        case none:--count top:--count top:-n
            echo ''
        case none:--lines events:--lines audit-ls:--lines events:-n audit-ls:-n
            echo ''
        case logs:--lines logs:-n
            echo ''
        case none:--since logs:--since events:--since audit-ls:--since audit-export:--since
            echo ''
        case none:--actor audit-ls:--actor
            echo ''
        case none:--before audit-archive:--before
            echo ''
        case none:--head audit-verify:--head
            echo ''
        case none:--name model-add:--name model-pull:--name
            echo ''
        case *:--host
            echo ''
        case *:--token-file
            echo '<file>'
        case *:--config
            echo '<file>'
        case '*'
            return 1
    end
end

function __rbee_operands
    switch $argv[1]
        case batch:0
            echo '<file>'
        case wait:0
            echo '<worker>'
        case drill:0
            echo 'crash hang oom slow gpu-fault'
        case drill:1
            echo '<worker>'
        case why:0
            echo '<worker>'
        case logs:0
            echo '<worker>'
        case events:0
            echo '<worker>'
        case bench:0
            echo '<model> <file>'
        case worker-start:0
            echo '<worker> <model>'
        case worker-stop:0
            echo '<worker>'
        case worker-restart:0
            echo '<worker>'
        case worker-hold:0
            echo '<worker>'
        case worker-release:0
            echo '<worker>'
        case worker-show:0
            echo '<worker>'
        case breaker-show:0
            echo '<breaker>'
        case breaker-reset:0
            echo '<breaker>'
        case breaker-open:0
            echo '<breaker>'
        case gpu-show:0
            echo '<gpu>'
        case model-add:0
            echo '<file>'
        case model-verify:0
            echo '<model>'
        case model-show:0
            echo '<model>'
        case model-rm:0
            echo '<model>'
        case completion:0
            echo 'bash zsh fish'
        case help:0
            echo '<command>'
        case help:1
            echo '<command>'
        case '*'
            return 1
    end
end

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
