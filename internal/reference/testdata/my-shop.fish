# fish completion for my-shop, made from its command definitions; do not edit.

function __my_shop_takes_value
	switch $argv[1]
		case :--root
			return 0
		case sell:--format sell:-f vend:--format vend:-f sell:--list vend:--list
			return 0
	end
	return 1
end

# where we are: the command, and how many arguments it has already
function __my_shop_place
	set -l command ''
	set -l nth 0
	set -l skip no
	set -l tokens (commandline -opc)
	for token in $tokens[2..-1]
		if test $skip = yes
			set skip no
		else if string match -q -- '-*' $token
			if __my_shop_takes_value "$command:$token"
				set skip yes
			end
		else if test -z "$command"
			set command $token
		else
			set nth (math $nth + 1)
		end
	end
	echo "$command:$nth"
end

# __my_shop_at COMMAND [NTH...]
function __my_shop_at
	set -l place (string split : -- (__my_shop_place))
	test "$place[1]" = "$argv[1]"; or return 1
	test (count $argv) -eq 1; or contains -- $place[2] $argv[2..-1]
end

function __my_shop_list
	set -l tokens (commandline -opc)
	set -l where
	for i in (seq 2 (count $tokens))
		switch $tokens[$i]
			case --root
				set where --root $tokens[(math $i + 1)]
			case '--root=*'
				set where $tokens[$i]
		end
	end
	command $tokens[1] $where $argv 2>/dev/null
end

complete -c my-shop -f
complete -c my-shop -n '__my_shop_at \'\'' -l root -x -a '(__fish_complete_directories)' -d 'where things are (default: /run/it\'s)'
complete -c my-shop -n '__my_shop_at \'\'' -l verbose -s v -d 'say [more]: all'
complete -c my-shop -n '__my_shop_at \'\'' -l help -s h -d 'print a short description of the options'
complete -c my-shop -n '__my_shop_at \'\'' -a sell -d 'sell a thing'
complete -c my-shop -n '__my_shop_at \'\'' -a show -d 'show things'
complete -c my-shop -n '__my_shop_at sell' -l format -s f -x -a 'table json' -d 'how to print'
complete -c my-shop -n '__my_shop_at sell' -l list -r -F -d 'more → things'
complete -c my-shop -n '__my_shop_at sell' -l help -s h -d 'print a short description of the options'
complete -c my-shop -n '__my_shop_at sell 0' -a '(__my_shop_list show -q)'
complete -c my-shop -n '__my_shop_at sell 1' -a 'TERM KILL HUP INT QUIT USR1 USR2 STOP CONT WINCH PIPE ALRM CHLD'
complete -c my-shop -n '__my_shop_at vend' -l format -s f -x -a 'table json' -d 'how to print'
complete -c my-shop -n '__my_shop_at vend' -l list -r -F -d 'more → things'
complete -c my-shop -n '__my_shop_at vend' -l help -s h -d 'print a short description of the options'
complete -c my-shop -n '__my_shop_at vend 0' -a '(__my_shop_list show -q)'
complete -c my-shop -n '__my_shop_at vend 1' -a 'TERM KILL HUP INT QUIT USR1 USR2 STOP CONT WINCH PIPE ALRM CHLD'
complete -c my-shop -n '__my_shop_at show' -l help -s h -d 'print a short description of the options'
complete -c my-shop -n '__my_shop_at show' -a '(__my_shop_list show -q)'
