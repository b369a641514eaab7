# What ash does by itself: expansions, arithmetic, control flow, functions, traps, here-documents, redirections.
set -u
name=world
echo "hello $name" 'single $name' "nested ${name:-x} ${unset_one:-default} ${name:+set} ${#name}"
echo "${name%ld} ${name#w} ${name%%o*} ${name##*o} ${name/o/0} ${name//[lo]/_} ${name:1:3}"
path=/usr/local/lib/file.tar.gz
echo "${path##*/} ${path%/*} ${path%%.*} ${path#*.}"
: "${assigned:=value}"
echo "$assigned" "$#" "$0" | { read -r a b c; echo "$a|$b"; } 2>/dev/null || echo no pipe
set -- one "two words" three
echo $# "$1" "$2" "$*" "$@"
shift 2
echo $# $1
echo $((1 + 2 * 3)) $(((1 << 10) - 1)) $((17 % 5)) $((-7 / 2)) $((2 ** 8)) $((0x1f)) $((017)) $((5 > 3 ? 10 : 20))
x=5
echo $((x++)) $((++x)) $((x += 10)) $x $((x == 17 && x != 3)) $((~x)) $((!x)) $((x & 12 | 1 ^ 3))
i=0
while [ $i -lt 5 ]; do
    i=$((i + 1))
    [ $i = 2 ] && continue
    [ $i = 5 ] && break
    echo "while $i"
done
until [ $i -le 0 ]; do i=$((i - 2)); done
echo "until $i"
for word in a "b c" d*; do echo "for $word"; done
for file in tree/leaf*.txt tree/none*; do echo "glob $file"; done
case $name in
    w*d) echo "case star" ;;
    *) echo "case other" ;;
esac
case abc in [xyz]*) echo no ;; a?c | b) echo "case question" ;; esac
greet() {
    local name=local
    echo "greet $1 $name"
    return $(($1 + 1))
}
greet 3
echo "status $? $name"
recurse() { if [ "$1" -gt 0 ]; then recurse $(($1 - 1)); echo "level $1"; fi; }
recurse 3
if [ -f words ] && [ ! -d words ] && [ -s words -a -r words ]; then echo "file tests"; fi
if [ -d tree ] || false; then echo "directory"; elif true; then echo "never"; else echo "never"; fi
[ "abc" \< "abd" ] 2>/dev/null && echo "less"
[[ $name == w* ]] && echo "double bracket"
true && echo and || echo or
false && echo and || echo or
! false && echo negated
read -r first second < words
echo "$first|$second"
while read -r line; do echo "line $line"; done < words
while IFS=: read -r user _ id rest; do echo "$user $id $rest"; done < passwd
cat_here() { while read -r line; do echo "[$line]"; done; }
cat_here <<END
here $name $((1 + 1))
  indented
END
cat_here <<'END'
raw $name
END
cat_here <<-END
	tabs go
	END
echo to file > made
echo more >> made
read -r line < made
echo "$line"
{ echo grouped; echo twice; } > made
exec 3< made
read -r a <&3
read -r b <&3
exec 3<&-
echo "$a $b"
exec 4> made
echo "by descriptor" >&4
exec 4>&-
read -r line < made && echo "$line"
printf '%s %d %x %05.1f|%-5s|%5s|\n' text 42 255 3.14159 left right
printf '%b\n' 'tab\there' 'octal\0101'
printf '%s,' a b c
echo
IFS=,
set -- $(echo "p,q,r" 2>/dev/null || echo "p,q,r") && echo "$# fields"
unset IFS
echo "umask $(umask)" > /dev/null
alias hi='echo aliased'
type echo true greet
eval 'echo evaluated $name'
eval "dynamic_$i=yes"
set | grep -c nothing > /dev/null 2>&1 || true
trap 'echo "exit trap"' EXIT
trap 'echo "signal trap"' USR1
kill -USR1 $$
cd tree && pwd -P > /dev/null && cd ..
cd - > /dev/null
cd ..
echo "$OLDPWD" > /dev/null
getopts ab: option -b value
echo "$option $OPTARG $OPTIND"
command -v cd echo
readonly fixed=1
echo *.txt tree/*
echo tree/.h* t?ee [w]ords
echo a{b,c}d ~nobody_here "back\\slash" $'dollar\tquote'
test -e missing; echo $?
let 'y = 3 * 4' && echo $y
times > /dev/null
hash -r
wait
exit 7
