# Commands of their own processes: pipelines, substitutions, background jobs, subshells, exit statuses.
sort words | uniq -i | wc -l
cat words | tr a-z A-Z | sed 's/O/0/g' | sort -r | head -n 3
count=$(wc -l < words)
echo "count $count nested $(echo $(basename $(pwd -P)/x))" `echo back`
echo "$(printf 'a\nb\n\n\n')" end
(cd tree; ls; x=changed; exit 3)
echo "subshell $? ${x-unset}"
sleep 0 &
wait $!
echo "waited $?"
(exit 5) & first=$!
(exit 6) & second=$!
wait $second; echo $?
wait $first; echo $?
false | true; echo $?
true | false; echo $?
! true; echo $?
yes | head -n 3
seq 1000 | awk '{ s += $1 } END { print s }'
seq 100 | sed -n '/7$/p' | tr '\n' ' '; echo
find tree -type f | sort | xargs md5sum | sort
find tree -name '*.txt' -exec wc -c {} \; | sort
find tree -type f | sort | while read -r f; do echo "$(wc -c < $f) $f"; done
echo 'one two three' | while read -r a b; do echo "$b"; done
echo 'x y z' | xargs -n 1 echo item
printf '%s\n' a b c | xargs -I {} echo '<{}>'
tar cf - tree | tar tf - | sort
tar cf - words poem | gzip -c | gunzip -c | tar xOf - poem
gzip -c poem | zcat | cmp - poem && echo same
bzip2 -c numbers | bunzip2 -c | md5sum
find tree | sort | cpio -o -H newc 2>/dev/null | cpio -t 2>/dev/null
diff words words2 | grep -c '^[<>]'
echo $((6 * 7)) | tee made | cat - made
ls | sort | tail -n 3
env A=1 sh -c 'echo "$A $1 $#"' name argument
sh -c 'exit 9'; echo $?
sh -c 'kill -TERM $$'; echo $?
sh -c 'trap "echo caught; exit 4" TERM; kill -TERM $$; echo not here'; echo $?
echo 'echo from stdin; exit 2' | sh; echo $?
(trap '' PIPE; yes 2>/dev/null | head -n 1)
{ echo out; echo err >&2; } 2>&1 | sort
{ echo out; echo err >&2; } 2> made; cat made
exec 5>&1; (echo five >&5); exec 5>&-
cat <<END | tr a-z A-Z
here $(echo substituted)
END
mkfifo pipe; (echo through fifo > pipe) & cat pipe; wait; rm pipe
i=0; while [ $i -lt 20 ]; do i=$((i + $(echo 1))); done; echo $i
for n in 1 2 3; do (for m in 1 2; do echo "$n$m" | cat; done); done | tr '\n' ' '; echo
awk 'BEGIN { while (("sort words" | getline line) > 0) n++; print n; print "piped" | "cat"; close("cat"); print system("exit 3") }'
timeout 5 true; echo $?
timeout 1 sleep 10; echo $?
which cat > /dev/null; echo $?
time true 2> /dev/null; echo $?
set -e
(set +e; false; echo "still here")
set -o pipefail
set +e
false | cat; echo $?
rm made
exit 7
